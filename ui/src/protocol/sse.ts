/** Decodes server-sent events from the chunks of a response body. */

export interface Frame {
  event: string;
  data: string;
  id: string | null;
}

export class SSEDecoder {
  #decoder = new TextDecoder();
  #buffer = "";
  #event = "";
  #data: string[] = [];
  #id: string | null = null;
  #afterReturn = false;

  /** Returns the frames that a chunk completes. A frame that the end of the stream cuts off is dropped, as the standard says. */
  feed(chunk: Uint8Array): Frame[] {
    let text = this.#decoder.decode(chunk, { stream: true });
    // A line end of two characters may be cut between them.
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    if (text !== "") this.#afterReturn = text.endsWith("\r");
    this.#buffer += text;
    const frames: Frame[] = [];
    const lines = this.#buffer.split(/\r\n|\n|\r/);
    this.#buffer = lines.pop() ?? "";
    for (const line of lines) {
      const frame = this.#take(line);
      if (frame) frames.push(frame);
    }
    return frames;
  }

  #take(line: string): Frame | null {
    if (line === "") {
      const frame = { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
      const isEmpty = this.#data.length === 0;
      this.#event = "";
      this.#data = [];
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
