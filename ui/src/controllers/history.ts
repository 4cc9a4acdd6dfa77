/** The list of threads: pages, renaming, deleting. */

import type { ProtocolClient } from "../client/client";
import { asError } from "../protocol/errors";
import type { Thread } from "../protocol/wire";

const PAGE = 30;

export class History {
  threads: readonly Thread[] = [];
  loading = false;
  loaded = false;
  error: Error | null = null;
  hasMore = false;

  #after: string | null = null;
  #asked = 0;

  constructor(
    private readonly client: ProtocolClient,
    private readonly onChange: () => void,
    private readonly onError: (error: Error) => void,
  ) {}

  /** Loads the newest threads anew; what is shown stays until they are there. */
  async load(): Promise<void> {
    await this.#read(null);
  }

  async loadMore(): Promise<void> {
    if (this.hasMore && !this.loading) await this.#read(this.#after);
  }

  /** Forgets the list; it is loaded anew when it is shown. */
  clear(): void {
    this.#asked += 1;
    this.threads = [];
    this.loaded = this.loading = this.hasMore = false;
    this.error = this.#after = null;
    this.onChange();
  }

  /** Takes in what a stream tells of a thread. */
  note(thread: Thread): void {
    const index = this.threads.findIndex((known) => known.id === thread.id);
    const { items: _, ...plain } = thread;
    this.threads = index < 0 ? [plain, ...this.threads] : this.threads.with(index, plain);
    this.onChange();
  }

  /** Renames a thread; the old title comes back where the server refuses. */
  async rename(id: string, title: string): Promise<void> {
    const before = this.threads;
    this.threads = this.threads.map((thread) => (thread.id === id ? { ...thread, title } : thread));
    this.onChange();
    try {
      const { items: _, ...thread } = await this.client.call("threads.update", { thread_id: id, title });
      this.threads = this.threads.map((known) => (known.id === id ? { ...known, ...thread } : known));
    } catch (error) {
      this.threads = before;
      this.onError(asError(error));
      throw error;
    } finally {
      this.onChange();
    }
  }

  async delete(id: string): Promise<void> {
    const before = this.threads;
    this.threads = this.threads.filter((thread) => thread.id !== id);
    this.onChange();
    try {
      await this.client.call("threads.delete", { thread_id: id });
    } catch (error) {
      this.threads = before;
      this.onError(asError(error));
      this.onChange();
      throw error;
    }
  }

  async #read(after: string | null): Promise<void> {
    this.#asked += 1;
    const asked = this.#asked;
    this.loading = true;
    this.error = null;
    this.onChange();
    try {
      // Only some servers can search, and say so to those who ask.
      const asks = this.client.knowsCapabilities ? {} : ({ capabilities: true } as const);
      const page = await this.client.call("threads.list", { limit: PAGE, order: "desc", ...(after === null ? asks : { after }) });
      if (asked !== this.#asked) return;
      // What was read below the first page stays, so that a list that was scrolled does not jump.
      const joint = after === null ? this.threads.findIndex((thread) => thread.id === page.data.at(-1)?.id) : -1;
      const below = joint < 0 ? [] : this.threads.slice(joint + 1);
      const above = after === null ? [] : this.threads;
      const known = new Set(above.map((thread) => thread.id));
      this.threads = [...above, ...page.data.filter((thread) => !known.has(thread.id)), ...below];
      if (below.length === 0) {
        this.#after = page.after ?? page.data.at(-1)?.id ?? null;
        this.hasMore = Boolean(page.has_more);
      }
      this.loaded = true;
    } catch (error) {
      if (asked === this.#asked) this.error = asError(error);
      this.onError(asError(error));
    } finally {
      if (asked === this.#asked) {
        this.loading = false;
        this.onChange();
      }
    }
  }
}

export type Age = "today" | "yesterday" | "week" | "earlier";

/** How long ago a thread was begun, in the reader's days. */
export function ageOf(createdAt: string, now: Date): Age {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const then = new Date(createdAt).getTime();
  const day = 24 * 60 * 60 * 1000;
  if (Number.isNaN(then) || then >= midnight) return "today";
  if (then >= midnight - day) return "yesterday";
  return then >= midnight - 7 * day ? "week" : "earlier";
}
