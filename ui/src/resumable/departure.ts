/** Whether the page is going away: then an aborted stream is no wish to stop the answer. */

/** Browsers abort streams before or after they say that the page goes; what comes within this time belongs together. */
const SETTLE = 120;

export class Departure {
  #isLeaving = false;

  constructor() {
    globalThis.addEventListener?.("pagehide", () => {
      this.#isLeaving = true;
    });
    globalThis.addEventListener?.("pageshow", () => {
      this.#isLeaving = false;
    });
  }

  /** Resolves to true where the page stays; a page that is gone never resolves it. */
  async stays(): Promise<boolean> {
    if (!this.#isLeaving) await new Promise((resolve) => setTimeout(resolve, SETTLE));
    return !this.#isLeaving;
  }
}
