/** Reads a thread page by page, the newest first. */

import type { ProtocolClient } from "../protocol/client";
import { prepend, type ThreadState } from "../state/thread";

const PAGE = 40;
/** Whoever scrolls back reads on for a while. */
const OLDER_PAGE = 120;

export class Pages {
  hasOlder = false;
  #older: string | null = null;

  constructor(private readonly client: ProtocolClient) {}

  /** Returns the state with the thread and its newest items as the server has them. */
  async newest(id: string, state: () => ThreadState): Promise<ThreadState> {
    const [thread, page] = await Promise.all([
      this.client.call("threads.get_by_id", { thread_id: id }),
      this.client.call("items.list", { thread_id: id, limit: PAGE, order: "desc" }),
    ]);
    const { items: _, ...plain } = thread;
    const fresh = page.data.toReversed();
    const before = state();
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

  /** Returns the state with the page before its oldest item. */
  async older(id: string, state: () => ThreadState): Promise<ThreadState> {
    const page = await this.client.call("items.list", { thread_id: id, limit: OLDER_PAGE, order: "desc", after: this.#older });
    this.#older = page.after ?? page.data.at(-1)?.id ?? null;
    this.hasOlder = Boolean(page.has_more) && page.data.length > 0;
    return prepend(state(), page.data.toReversed());
  }
}
