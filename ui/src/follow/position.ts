/** Which events of a turn have arrived, so that another connection continues after the last one. */

import { ServerError } from "../protocol/errors";

/** What the id of a frame says: a new event, one that has arrived before, or none of its own, as parts of a state have. */
export type Arrival = "new" | "known" | "part";

export class Position {
  turnId: string | null = null;
  /** Id of the last event that arrived. */
  cursor: string | null = null;
  /** Whether the server numbers its events; null before the first. */
  isNumbered: boolean | null = null;

  #number = 0;
  /** The last id of this connection: a frame without one of its own comes with that of the frame before. */
  #heard: string | null = null;

  constructor(public threadId: string | null) {}

  /** Returns the position before the first event of a turn that is known to run. */
  static before(threadId: string, turnId: string | null): Position {
    const position = new Position(threadId);
    position.turnId = turnId;
    position.cursor = turnId === null ? null : `${turnId}:0`;
    position.isNumbered = true;
    return position;
  }

  /** Takes in that another connection begins. */
  reconnected(): void {
    this.#heard = null;
  }

  /** Takes in the id of a frame. Throws a ServerError where it is of another turn. */
  take(id: string | null): Arrival {
    this.isNumbered ??= id !== null;
    const isOwn = id !== null && id !== this.#heard;
    this.#heard = id;
    if (!isOwn) return "part";
    this.isNumbered = true;
    const [, turnId, digits] = /^(.+):(\d+)$/.exec(id) ?? [];
    // Servers of another make may number their events in another way.
    if (turnId !== undefined) {
      this.turnId ??= turnId;
      if (turnId !== this.turnId) throw new ServerError(`The stream continued with ${turnId}.`, 404, "turn_not_found");
      if (Number(digits) <= this.#number) return "known";
      this.#number = Number(digits);
    }
    this.cursor = id;
    return "new";
  }
}
