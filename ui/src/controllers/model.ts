/** The thread that a conversation shows, for those that change it: the reading of pages, turns, and the user's own doing. */

import type { ThreadEvent } from "../protocol/wire";
import { EMPTY, reduce, type ThreadState } from "../state/thread";

export class ThreadModel {
  state: ThreadState = EMPTY;

  constructor(
    /** Null until the server has made the thread. */
    public id: string | null,
    /** Asks for the thread to be drawn anew. */
    readonly changed: () => void,
  ) {}

  set(change: Partial<ThreadState>): void {
    this.state = { ...this.state, ...change };
  }

  apply(event: ThreadEvent): void {
    this.state = reduce(this.state, event);
    this.changed();
  }
}
