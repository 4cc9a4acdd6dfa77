/** Reads a thread page by page, the newest first. */

import type { ProtocolClient } from "../client/client";
import { asError } from "../protocol/errors";
import { prepend, type ThreadState } from "../state/thread";
import type { ThreadModel } from "./model";

const PAGE = 40;
/** Who scrolls back reads on for a while. */
const OLDER_PAGE = 120;

export class Pages {
  loading = false;
  loaded: boolean;
  loadError: Error | null = null;
  hasOlder = false;
  loadingOlder = false;
  /** Why the page before the oldest item is not there; asked for again only where someone wants it. */
  olderError: Error | null = null;

  #older: string | null = null;
  #loadingOlder: Promise<void> = Promise.resolve();

  constructor(
    private readonly client: ProtocolClient,
    private readonly model: ThreadModel,
    private readonly onError: (error: Error) => void,
  ) {
    this.loaded = model.id === null;
  }

  /** Loads the thread and its newest items; returns whether they are there. */
  async load(id: string): Promise<boolean> {
    this.loading = true;
    this.loadError = null;
    this.model.changed();
    try {
      this.model.state = await this.newest(id);
      this.loaded = true;
    } catch (error) {
      this.loadError = asError(error);
      this.onError(this.loadError);
    } finally {
      this.loading = false;
      this.model.changed();
    }
    return this.loadError === null;
  }

  /** Loads the page before the oldest item that is there; the one that is loaded already is waited for. */
  loadOlder(): Promise<void> {
    const { id } = this.model;
    if (id !== null && this.hasOlder && !this.loadingOlder) this.#loadingOlder = this.#loadOlder(id);
    return this.#loadingOlder;
  }

  async #loadOlder(id: string): Promise<void> {
    this.loadingOlder = true;
    this.olderError = null;
    this.model.changed();
    try {
      const page = await this.client.call("items.list", { thread_id: id, limit: OLDER_PAGE, order: "desc", after: this.#older });
      this.#older = page.after ?? page.data.at(-1)?.id ?? null;
      this.hasOlder = Boolean(page.has_more) && page.data.length > 0;
      this.model.state = prepend(this.model.state, page.data.toReversed());
    } catch (error) {
      this.olderError = asError(error);
      this.onError(this.olderError);
    } finally {
      this.loadingOlder = false;
      this.model.changed();
    }
  }

  /** Returns the state with the thread and its newest items as the server has them. */
  async newest(id: string): Promise<ThreadState> {
    const [thread, page] = await Promise.all([
      this.client.call("threads.get_by_id", { thread_id: id }),
      this.client.call("items.list", { thread_id: id, limit: PAGE, order: "desc" }),
    ]);
    const { items: _, ...plain } = thread;
    const fresh = page.data.toReversed();
    const before = this.model.state;
    // Older pages that were read stay, as long as they join on to the newest one.
    const first = fresh[0]?.id;
    const joint = before.items.findIndex((item) => item.id === first);
    const kept = joint > 0 ? before.items.slice(0, joint) : [];
    if (kept.length === 0) {
      this.#older = page.after ?? page.data.at(-1)?.id ?? null;
      this.hasOlder = Boolean(page.has_more);
    }
    return { ...before, thread: plain, items: [...kept, ...fresh], pending: new Set() };
  }
}
