/** A streaming request and its answer, over as many connections as it takes. */

import { framesOf, isStream, type Limits, pause, post, Refused, resume } from "./connection";
import type { StreamingRequest } from "./request";
import { lostItems } from "./stored";
import { AnotherTurn, Translation, write } from "./translation";

/** Attempts to send a request at all: the page should hear soon that the server cannot be reached. */
const FIRST_ATTEMPTS = 3;
const STOP_ATTEMPTS = 4;
/** How often the store is asked again for what it lacks of a turn that is gone. */
const LOOKS = 3;
/** How long a stop waits for the server to say which turn it is. */
const STOP_LIMIT = 10_000;
/** The server keeps a turn for two minutes after its end. */
const KEPT = 110_000;
/** The turn is not kept, or, after a crash, not up to where the page has it. */
const GONE = new Set([404, 422]);
const FAILED = write(JSON.stringify({ type: "error", code: "stream.error", allow_retry: true }));

export class Turn {
  readonly #connection = new AbortController();
  readonly #translation: Translation;
  #first: Response | null = null;
  #parts: AsyncGenerator<string> | null = null;
  #isOver = false;

  constructor(
    private readonly request: StreamingRequest,
    private readonly send: typeof fetch,
    private readonly limits: Limits,
    /** Ids of the turns that stream on this page. */
    private readonly streaming: Set<string>,
  ) {
    this.#translation = new Translation(request.threadId);
  }

  /** Sends the request and returns the server's answer, whatever it is. */
  async open(): Promise<Response> {
    for (let failures = 0; ; failures += 1) {
      try {
        this.#first = await this.#post();
        break;
      } catch (error) {
        // The server knows a message by its key, so that nothing is said twice; of all else it is unclear.
        if (this.#connection.signal.aborted || !this.request.isKeyed || failures >= FIRST_ATTEMPTS || isAbort(error)) {
          this.#isOver = true;
          throw error;
        }
        if (globalThis.navigator?.onLine === false) {
          this.#isOver = true;
          throw error;
        }
        await pause(failures, this.limits, this.#connection.signal);
      }
    }
    if (!isStream(this.#first)) this.#isOver = true;
    return this.#first;
  }

  get isStream(): boolean {
    return this.#first !== null && isStream(this.#first);
  }

  /** Returns the next frames for the page; null at the end. */
  async next(): Promise<string | null> {
    this.#parts ??= this.#read();
    const { done, value } = await this.#parts.next();
    return done ? null : value;
  }

  /** Ends the answer on the server: what is there of it stays there. */
  async stop(): Promise<void> {
    const limit = setTimeout(() => this.#connection.abort(), STOP_LIMIT);
    try {
      // The first event tells which turn it is, and whether the server knows turns at all.
      while (!this.#isOver && this.#translation.isNumbered === null && (await this.next()) !== null);
    } catch {
      // Then there is nothing to stop, or the server stops by itself.
    }
    clearTimeout(limit);
    const { threadId, turnId } = this.#translation;
    const isRunning = !this.#isOver;
    this.detach();
    if (isRunning && threadId !== null && turnId !== null) await this.#sendStop(threadId, turnId);
  }

  /** Ends the connection; the answer goes on. */
  detach(): void {
    this.#isOver = true;
    this.#connection.abort();
    this.#forget();
  }

  #post(): Promise<Response> {
    return post(this.send, this.request, this.request.body, { signal: this.#connection.signal });
  }

  async *#read(): AsyncGenerator<string> {
    const { signal } = this.#connection;
    const translation = this.#translation;
    let response = this.#first;
    let failures = 0;
    let brokenSince = 0;
    try {
      while (true) {
        try {
          response ??= await this.#again();
          for await (const frames of framesOf(response, signal, () => (translation.isNumbered ? this.limits.silence : null))) {
            const before = translation.cursor;
            for (const text of this.#translate(frames)) yield text;
            if (translation.end !== null) {
              this.#isOver = true;
              // An ordinary stream of a turn that did not end well has an error in it; say it where it has not.
              if (!translation.hasError && ["failed", "interrupted"].includes(translation.end)) yield FAILED;
              return;
            }
            if (translation.cursor !== before) failures = 0;
          }
          if (translation.isNumbered !== true) return;
          brokenSince = Date.now();
        } catch (error) {
          if (signal.aborted || translation.isNumbered === false) throw error;
          if (error instanceof AnotherTurn || (error instanceof Refused && GONE.has(error.status))) {
            yield* this.#lost(brokenSince);
            return;
          }
          if (error instanceof Refused) break;
          if (response !== null) brokenSince = Date.now();
        }
        response = null;
        const canGoOn = translation.cursor === null ? this.request.isKeyed : translation.threadId !== null;
        if (!canGoOn || failures >= this.limits.attempts) break;
        const isOffline = globalThis.navigator?.onLine === false;
        try {
          await pause(failures, this.limits, signal);
        } catch (error) {
          if (signal.aborted) throw error;
          break;
        }
        if (!isOffline) failures += 1;
      }
      this.#isOver = true;
      yield FAILED;
    } finally {
      this.#isOver = true;
      this.#forget();
    }
  }

  #translate(frames: Parameters<Translation["take"]>[0][]): string[] {
    const texts: string[] = [];
    try {
      for (const frame of frames) {
        const text = this.#translation.take(frame);
        if (text !== "") texts.push(text);
        if (this.#translation.end !== null) break;
      }
    } finally {
      if (this.#translation.turnId !== null) this.streaming.add(this.#translation.turnId);
    }
    return texts.length > 0 ? [texts.join("")] : [];
  }

  /** Another connection: the events behind the last one, or, before the first one, the same request with the same key. */
  async #again(): Promise<Response> {
    const { threadId, cursor } = this.#translation;
    const { signal } = this.#connection;
    this.#translation.reattached();
    if (cursor !== null && threadId !== null) return resume(this.send, this.request, threadId, cursor, signal);
    const response = await this.#post();
    if (isStream(response)) return response;
    throw response.status >= 500 ? new Error(`The server answered ${response.status}.`) : new Refused(response.status);
  }

  /** Nothing is kept of the turn any more: what is stored is all that there is. */
  async *#lost(brokenSince: number): AsyncGenerator<string> {
    this.#isOver = true;
    const { signal } = this.#connection;
    let stored = await lostItems(this.send, this.request, this.#translation, signal);
    // A server that has just come back may still be storing what was there when it died.
    for (let looks = 0; !stored.isFinished && looks < LOOKS; looks += 1) {
      await pause(looks, this.limits, signal);
      const more = await lostItems(this.send, this.request, this.#translation, signal);
      stored = { ...more, frames: stored.frames + more.frames };
    }
    if (stored.frames !== "") yield stored.frames;
    // A turn that ended well is kept for a while: one that is gone sooner was cut off with its server.
    const mayBeWhole = stored.isFinished && Date.now() - brokenSince >= KEPT;
    if (!mayBeWhole) yield FAILED;
  }

  async #sendStop(threadId: string, turnId: string): Promise<void> {
    const body = { type: "turns.stop", params: { thread_id: threadId, turn_id: turnId } };
    const never = new AbortController().signal;
    for (let failures = 0; failures < STOP_ATTEMPTS; failures += 1) {
      try {
        // Kept alive, so that it goes out although the page is closed right after.
        const response = await post(this.send, this.request, body, { keepalive: true });
        void response.body?.cancel().catch(() => undefined);
        if (response.status < 500) return;
      } catch {
        // As below.
      }
      await pause(failures, this.limits, never).catch(() => undefined);
    }
  }

  #forget(): void {
    if (this.#translation.turnId !== null) this.streaming.delete(this.#translation.turnId);
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
