/** Turns the frames of a resumable stream into those of an ordinary one, each event once. */

import type { Frame } from "../protocol/sse";

interface WireEvent {
  type?: string;
  item?: { id?: string };
  item_id?: string;
  thread?: { id?: string };
}

/** The stream goes on with something that is not what was asked for. */
export class AnotherTurn extends Error {}

/** Events that say something once; a state that is sent twice holds them twice. */
const ONCE = new Set(["client_effect", "notice", "error"]);

export class Translation {
  /** Id of the last event that the page has. */
  cursor: string | null = null;
  turnId: string | null = null;
  /** Whether the server numbers its events; null before the first. */
  isNumbered: boolean | null = null;
  /** How the turn ended. */
  end: string | null = null;
  hasError = false;
  /** Items that the page knows, and whether they are done. */
  readonly items = new Map<string, "pending" | "done">();

  #number = 0;
  /** The last id of this connection: a frame without one of its own comes with that of the frame before. */
  #heard: string | null = null;
  /** Events of a state that no id covers yet. */
  #uncovered = new Map<string, number>();
  #again = new Map<string, number>();

  constructor(public threadId: string | null) {}

  /** Begins with a turn that is known before any of its events. */
  startAt(turnId: string): void {
    this.turnId = turnId;
    this.cursor = `${turnId}:0`;
    this.isNumbered = true;
  }

  /** Takes in that another connection begins. */
  reattached(): void {
    this.#heard = null;
    this.#again = this.#uncovered;
    this.#uncovered = new Map();
  }

  /** Returns what the page is to get for a frame: a frame, or nothing. */
  take(frame: Frame): string {
    if (frame.event === "turn.end") {
      this.end = (parse(frame.data) as { status?: string } | null)?.status ?? "completed";
      return "";
    }
    const isCovered = frame.id !== null && frame.id !== this.#heard;
    this.#heard = frame.id;
    if (isCovered && !this.#advance(frame.id as string)) return "";
    this.isNumbered ??= frame.id !== null;
    const event = parse(frame.data);
    // What is no event is the page's affair, as it would be without us.
    const data = event === null ? frame.data : this.#event(event, frame.data, isCovered);
    if (isCovered) {
      this.#uncovered.clear();
      this.#again.clear();
    }
    return data === "" ? "" : write(data);
  }

  #advance(id: string): boolean {
    const colon = id.lastIndexOf(":");
    const turnId = id.slice(0, colon);
    const number = Number(id.slice(colon + 1));
    this.turnId ??= turnId;
    if (turnId !== this.turnId) throw new AnotherTurn(`The stream went on with ${turnId}.`);
    if (number <= this.#number) return false;
    this.#number = number;
    this.cursor = id;
    return true;
  }

  #event(event: WireEvent, data: string, isCovered: boolean): string {
    const { type } = event;
    if (type === "thread.created" || type === "thread.updated") this.threadId = event.thread?.id ?? this.threadId;
    if (type === "error") this.hasError = true;
    if (ONCE.has(type ?? "")) {
      if (!isCovered) this.#uncovered.set(data, (this.#uncovered.get(data) ?? 0) + 1);
      const shown = this.#again.get(data) ?? 0;
      if (shown > 0) {
        this.#again.set(data, shown - 1);
        return "";
      }
    }
    const id = event.item?.id;
    if (type === "thread.item.removed" && event.item_id !== undefined) this.items.delete(event.item_id);
    if (id === undefined) return data;
    const before = this.items.get(id);
    if (type === "thread.item.done") this.items.set(id, "done");
    else if (type === "thread.item.added") this.items.set(id, "pending");
    // A state that is sent a second time begins items that the page has already.
    const isRepeated = (type === "thread.item.added" && before !== undefined) || (type === "thread.item.done" && before === "done");
    return isRepeated ? JSON.stringify({ ...event, type: "thread.item.replaced" }) : data;
  }
}

/** Returns the frame of an ordinary stream. */
export function write(data: string): string {
  return `${data.split("\n").map((line) => `data: ${line}\n`).join("")}\n`;
}

function parse(data: string): WireEvent | null {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
