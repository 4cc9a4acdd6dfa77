/** Titles that a server makes beside the first answer: they may be there only after the end of its stream. */

import type { ProtocolClient } from "../client/client";
import type { Thread } from "../protocol/wire";

/** Between the questions for a title, in milliseconds; nobody asks for one after these. */
const WAITS = [1000, 3000, 8000, 20_000];

export class Titles {
  /** Threads that were asked for, once each: many servers give no titles. */
  #asked = new Set<string>();

  constructor(
    private readonly client: ProtocolClient,
    private readonly onTitle: (thread: Thread) => void,
  ) {}

  /** Tells of the title of a thread that has none yet, if there is one soon. */
  async follow(threadId: string): Promise<void> {
    const asked = this.#asked;
    if (asked.has(threadId)) return;
    asked.add(threadId);
    for (const wait of WAITS) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (asked !== this.#asked) return;
      let thread: Thread;
      try {
        thread = await this.client.call("threads.get_by_id", { thread_id: threadId });
      } catch {
        // It is there with the next load of the list.
        return;
      }
      if (asked !== this.#asked) return;
      if (thread.title) return this.onTitle(thread);
    }
  }

  /** Asks no more; the user has changed, or the page is done with this. */
  clear(): void {
    this.#asked = new Set();
  }
}
