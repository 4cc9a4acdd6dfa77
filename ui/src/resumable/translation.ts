/** Turns the events of a resumable stream into the frames of an ordinary one. */

import type { Heard } from "../follow/follow";
import { SAID_ONCE, type ThreadEvent } from "../protocol/wire";

export class Translation {
  hasError = false;
  /** Items that the page knows, and whether they are done. */
  readonly items = new Map<string, "pending" | "done">();

  /** Events of a state that no id covers yet. */
  #uncovered = new Map<string, number>();
  #again = new Map<string, number>();

  /** Takes in that another connection begins. */
  reconnected(): void {
    this.#again = this.#uncovered;
    this.#uncovered = new Map();
  }

  /** Returns what the page is to get for an event: a frame, or nothing. */
  take({ event, data, isCovered }: Heard): string {
    // What is no event is the page's affair, as it would be without us.
    const text = event === null ? data : this.#event(event, data, isCovered);
    if (isCovered) {
      this.#uncovered.clear();
      this.#again.clear();
    }
    return text === "" ? "" : write(text);
  }

  #event(event: ThreadEvent, data: string, isCovered: boolean): string {
    if (event.type === "error") this.hasError = true;
    if (SAID_ONCE.has(event.type)) {
      if (!isCovered) this.#uncovered.set(data, (this.#uncovered.get(data) ?? 0) + 1);
      const shown = this.#again.get(data) ?? 0;
      if (shown > 0) {
        this.#again.set(data, shown - 1);
        return "";
      }
    }
    if (event.type === "thread.item.removed") this.items.delete(event.item_id);
    if (!("item" in event)) return data;
    // The store gave the item another id than it was added under.
    if ("added_id" in event && event.added_id !== undefined) this.items.delete(event.added_id);
    const { id } = event.item;
    const before = this.items.get(id);
    if (event.type === "thread.item.done") this.items.set(id, "done");
    else if (event.type === "thread.item.added") this.items.set(id, "pending");
    // A state that is sent a second time begins items that the page has already.
    const isRepeated = (event.type === "thread.item.added" && before !== undefined) || (event.type === "thread.item.done" && before === "done");
    return isRepeated ? JSON.stringify({ ...event, type: "thread.item.replaced" }) : data;
  }
}

/** Returns the frame of an ordinary stream. */
export function write(data: string): string {
  return `${data.split("\n").map((line) => `data: ${line}\n`).join("")}\n`;
}
