/** A streaming request and its answer, over as many connections as it takes. */

import { isOffline, type Limits, pause } from "../follow/connection";
import { follow, type Source } from "../follow/follow";
import { Position } from "../follow/position";
import { isAbort, ServerError, StreamInterrupted } from "../protocol/errors";
import type { TurnStatus } from "../protocol/wire";
import { asStream, isStream, post, resume, type StreamingRequest } from "./request";
import { lostItems } from "./stored";
import { Translation, write } from "./translation";

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
  readonly #position: Position;
  readonly #translation = new Translation();
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
    this.#position = new Position(request.threadId);
  }

  /** Sends the request and returns the server's answer, whatever it is. */
  async open(): Promise<Response> {
    for (let failures = 0; ; failures += 1) {
      try {
        this.#first = await this.#post();
        break;
      } catch (error) {
        // The server knows a message by its key, so that nothing is said twice; of all else it is unclear.
        if (this.#connection.signal.aborted || !this.request.isKeyed || failures >= FIRST_ATTEMPTS || isAbort(error) || isOffline()) {
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
      while (!this.#isOver && this.#position.isNumbered === null && (await this.next()) !== null);
    } catch {
      // Then there is nothing to stop, or the server stops by itself.
    }
    clearTimeout(limit);
    const { threadId, turnId } = this.#position;
    const isRunning = !this.#isOver;
    this.detach();
    if (isRunning && threadId !== null && turnId !== null) await this.#sendStop(threadId, turnId);
  }

  /** Ends the connection; the answer continues. */
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
    const { request, send } = this;
    const source: Source = {
      position: this.#position,
      canRepeat: request.isKeyed,
      begin: async () => asStream(await this.#post()),
      resume: (threadId, cursor, within) => resume(send, request, threadId, cursor, within),
    };
    let brokenSince: number | null = null;
    let end: TurnStatus | null = null;
    try {
      for await (const part of follow(source, this.limits, signal, this.#first ?? undefined)) {
        if (this.#position.turnId !== null) this.streaming.add(this.#position.turnId);
        if ("end" in part) end = part.end;
        else if ("event" in part) {
          const text = this.#translation.take(part);
          if (text !== "") yield text;
        } else if (part.reconnecting) brokenSince ??= Date.now();
        else {
          brokenSince = null;
          this.#translation.reconnected();
        }
      }
      this.#isOver = true;
      // An ordinary stream of a turn that did not end well has an error in it; say it where it has not.
      if (!this.#translation.hasError && (end === "failed" || end === "interrupted")) yield FAILED;
    } catch (error) {
      this.#isOver = true;
      // Without numbers the page gets what it would get without us.
      if (signal.aborted || this.#position.isNumbered === false) throw error instanceof StreamInterrupted ? error.cause : error;
      const cause = error instanceof StreamInterrupted ? error.cause : error;
      if (cause instanceof ServerError && GONE.has(cause.status)) yield* this.#lost(brokenSince ?? Date.now());
      else yield FAILED;
    } finally {
      this.#isOver = true;
      this.#forget();
    }
  }

  /** Nothing is kept of the turn any more: what is stored is all that there is. */
  async *#lost(brokenSince: number): AsyncGenerator<string> {
    const { signal } = this.#connection;
    const look = (): ReturnType<typeof lostItems> => lostItems(this.send, this.request, this.#position.threadId, this.#translation, signal);
    let stored = await look();
    // A server that has just come back may still be storing what was there when it died.
    for (let looks = 0; !stored.isFinished && looks < LOOKS; looks += 1) {
      await pause(looks, this.limits, signal);
      const more = await look();
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
    if (this.#position.turnId !== null) this.streaming.delete(this.#position.turnId);
  }
}
