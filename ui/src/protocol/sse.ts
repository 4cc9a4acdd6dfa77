/** Decodes server-sent events from the chunks of a response body. */

export interface Frame {
  event: string;
  data: string;
  id: string | null;
}

/** Characters of one event at most; an answer's largest ones are pictures in a state that is sent anew. */
export const LONGEST_EVENT = 64 * 1024 * 1024;

/** The server sends something that is no stream of events, or one that would fill the memory. */
export class EventTooLong extends Error {}

export class SSEDecoder {
  #decoder = new TextDecoder();
  /** The pieces of a line whose end has not come; they are joined once, or a long line in small chunks would cost its square. */
  #pieces: string[] = [];
  #event = "";
  #data: string[] = [];
  #id: string | null = null;
  #afterReturn = false;
  /** Characters of the event that is being read. */
  #length = 0;

  /**
   * Returns the frames that a chunk completes. A frame that the end of the stream cuts off is dropped, as the standard says.
   *
   * Throws EventTooLong where an event is longer than `LONGEST_EVENT`.
   */
  feed(chunk: Uint8Array): Frame[] {
    let text = this.#decoder.decode(chunk, { stream: true });
    // A line end of two characters may be cut between them.
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    if (text === "") return [];
    this.#afterReturn = text.endsWith("\r");
    const frames: Frame[] = [];
    const lines = text.split(/\r\n|\n|\r/);
    const rest = lines.pop() ?? "";
    for (const line of lines) {
      this.#count(line);
      const frame = this.#take(this.#pieces.length > 0 ? this.#pieces.join("") + line : line);
      this.#pieces = [];
      if (frame) frames.push(frame);
    }
    if (rest !== "") {
      this.#count(rest);
      this.#pieces.push(rest);
    }
    return frames;
  }

  #count(text: string): void {
    this.#length += text.length;
    if (this.#length > LONGEST_EVENT) throw new EventTooLong(`An event of the stream has more than ${LONGEST_EVENT} characters.`);
  }

  #take(line: string): Frame | null {
    if (line === "") {
      const frame = { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
      const isEmpty = this.#data.length === 0;
      this.#event = "";
      this.#data = [];
      this.#length = 0;
      return isEmpty ? null : frame;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }
}
