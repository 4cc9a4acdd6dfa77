/** Tells other tabs, and other elements of the page, that a thread has changed. */

interface Message {
  url: string;
  threadId: string;
}

export class Tabs {
  #channel: BroadcastChannel | null = null;

  constructor(
    /** The server that threads are of. */
    private readonly url: () => string,
    private readonly onTouched: (threadId: string) => void,
  ) {}

  open(): void {
    if (this.#channel || typeof BroadcastChannel === "undefined") return;
    this.#channel = new BroadcastChannel("chatkit.threads");
    this.#channel.onmessage = (event: MessageEvent<Message>) => {
      if (event.data.url === this.#here()) this.onTouched(event.data.threadId);
    };
  }

  close(): void {
    this.#channel?.close();
    this.#channel = null;
  }

  tell(threadId: string): void {
    this.#channel?.postMessage({ url: this.#here(), threadId } satisfies Message);
  }

  #here(): string {
    return new URL(this.url(), globalThis.location.href).href;
  }
}
