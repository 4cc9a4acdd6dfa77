/** A search of threads while its words are typed: asked after a pause, and only the latest answer counts. */

import type { ProtocolClient } from "../client/client";
import { asError, isAbort } from "../protocol/errors";
import type { FoundThread } from "../protocol/wire";

const PAGE = 20;
/** How long nobody types before the server is asked, in milliseconds. */
const PAUSE = 200;

export class ThreadSearch {
  query = "";
  found: readonly FoundThread[] = [];
  loading = false;
  error: Error | null = null;
  hasMore = false;
  /** False while the server still prepares older messages. */
  complete = true;
  /** The query that `found` answers; null before the first answer. */
  answered: string | null = null;

  #after: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking: AbortController | null = null;

  constructor(
    private readonly client: ProtocolClient,
    private readonly onChange: () => void,
    private readonly onError: (error: Error) => void = () => undefined,
  ) {}

  /** Whether the server has said that it can search. */
  get isOffered(): boolean {
    return this.client.offers("search");
  }

  /** Whether there is something to search for; then what is found stands in the place of the list of threads. */
  get isActive(): boolean {
    return this.query.trim() !== "";
  }

  /** Takes what stands in the field; what was found before stays until there is an answer. */
  type(query: string): void {
    if (query.trim() === this.query.trim()) {
      this.query = query;
      return;
    }
    this.query = query;
    this.#cancel();
    if (this.isActive) {
      this.loading = true;
      this.#timer = setTimeout(() => void this.#ask(null), PAUSE);
    } else this.#forget();
    this.onChange();
  }

  /** Asks at once, also for what was asked already. */
  async submit(): Promise<void> {
    this.#cancel();
    if (this.isActive) await this.#ask(null);
  }

  async loadMore(): Promise<void> {
    if (this.hasMore && !this.loading) await this.#ask(this.#after);
  }

  clear(): void {
    this.#cancel();
    this.query = "";
    this.#forget();
    this.onChange();
  }

  #forget(): void {
    this.found = [];
    this.loading = this.hasMore = false;
    this.complete = true;
    this.error = this.answered = this.#after = null;
  }

  #cancel(): void {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
  }

  async #ask(after: string | null): Promise<void> {
    const asking = new AbortController();
    this.#asking = asking;
    this.loading = true;
    this.error = null;
    this.onChange();
    const query = this.query.trim();
    try {
      const page = await this.client.call("threads.search", { query, limit: PAGE, ...(after === null ? {} : { after }) }, asking.signal);
      if (asking !== this.#asking) return;
      const above = after === null ? [] : this.found;
      const known = new Set(above.map((each) => each.thread.id));
      this.found = [...above, ...page.data.filter((each) => !known.has(each.thread.id))];
      this.#after = page.after ?? null;
      this.hasMore = Boolean(page.has_more) && this.#after !== null;
      this.complete = page.complete !== false;
      this.answered = query;
    } catch (error) {
      if (asking !== this.#asking || isAbort(error)) return;
      this.error = asError(error);
      this.onError(this.error);
    } finally {
      if (asking === this.#asking) {
        this.#asking = null;
        this.loading = false;
        this.onChange();
      }
    }
  }
}
