/** Speaks the protocol: one POST a request, JSON or a stream of events as the answer. */

import { ConnectionError, errorOfAnswer, isAbort, ServerError, StreamInterrupted, unexpectedAnswer } from "./errors";
import { SSEDecoder } from "./sse";
import type { Answers, RequestParams, StreamingType, ThreadEvent, TurnStatus } from "./wire";

export interface Endpoint {
  url: string;
  fetch?: typeof fetch | undefined;
}

/** What a stream yields: an event, or how the turn ended. */
export type StreamPart = { event: ThreadEvent } | { end: TurnStatus } | { reconnecting: boolean };

const ATTEMPTS = 6;
const LONGEST_PAUSE = 8000;
/** How long an answer is waited for while the browser is offline; attempts do not count then. */
const OFFLINE_LIMIT = 600_000;
/** Servers send a comment at least every 15 s; a connection that is silent for three times as long is dead. */
const SILENCE = 45_000;

export class ProtocolClient {
  /** Whether the server has shown that it numbers events; only such a one recognises a message that is sent twice. */
  #knowsTurns = false;

  get knowsTurns(): boolean {
    return this.#knowsTurns;
  }

  constructor(private readonly endpoint: () => Endpoint) {}

  /** Sends a request whose answer is JSON. */
  async call<T extends keyof Answers>(type: T, params: RequestParams[T], signal?: AbortSignal): Promise<Answers[T]> {
    const response = await this.#post(type, params, {}, "application/json", signal);
    try {
      return (await response.json()) as Answers[T];
    } catch (error) {
      if (signal?.aborted || isAbort(error)) throw error;
      if (error instanceof SyntaxError) throw unexpectedAnswer(response);
      throw new ConnectionError(error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  /**
   * Sends a request whose answer is a stream, and yields its parts; after a broken connection it goes on where it was.
   *
   * Ends after an `end` part, or, with servers that do not number their events, when the stream closes.
   */
  async *stream<T extends StreamingType>(
    type: T,
    params: RequestParams[T],
    options: { signal: AbortSignal; threadId: string | null; idempotencyKey?: string },
  ): AsyncGenerator<StreamPart> {
    const { signal } = options;
    const metadata: Record<string, unknown> = { resumable: true };
    if (options.idempotencyKey) metadata["idempotency_key"] = options.idempotencyKey;
    let threadId = options.threadId;
    let cursor: string | null = type === "turns.resume" ? ((params as { after?: string }).after ?? null) : null;
    let numbered = type === "turns.resume";
    let failures = 0;
    let offlineSince: number | null = null;
    let received = false;
    let response: Response | null = null;

    while (true) {
      let failure: unknown = null;
      try {
        if (response === null) {
          if (!received && failures === 0) {
            response = await this.#post(type, params, metadata, "text/event-stream", signal);
          } else if (numbered && threadId !== null) {
            const after = cursor === null ? {} : { after: cursor };
            response = await this.#post("turns.resume", { thread_id: threadId, ...after }, metadata, "text/event-stream", signal);
          } else {
            // The same key makes the second one the same turn, so nothing is said twice.
            response = await this.#post(type, params, metadata, "text/event-stream", signal);
          }
          // Pages that mock the server may leave the type out.
          if (/^(text\/html|application\/json)/.test(response.headers.get("content-type") ?? "")) throw unexpectedAnswer(response);
          if (failures > 0) yield { reconnecting: false };
        }
        for await (const frame of frames(response, signal, () => (numbered ? SILENCE : null))) {
          received = true;
          if (frame.id !== null) {
            numbered = this.#knowsTurns = true;
            if (frame.id !== cursor) failures = 0;
            offlineSince = null;
            cursor = frame.id;
          }
          const parsed = parse(frame.data);
          if (parsed === null) continue;
          if (frame.event === "turn.end") {
            yield { end: (parsed as { status?: TurnStatus }).status ?? "completed" };
            return;
          }
          const event = parsed as ThreadEvent;
          if (event.type === "thread.created" || event.type === "thread.updated") threadId = event.thread.id;
          yield { event };
        }
        if (!numbered) return;
      } catch (error) {
        if (signal.aborted || isAbort(error)) throw error;
        if (error instanceof ServerError && !error.isTemporary) {
          if (failures > 0 && error.code !== "turn_not_found") throw new StreamInterrupted(error.message, { cause: error });
          throw error;
        }
        if (error instanceof ServerError && !received) throw error;
        failure = error;
      }
      response = null;
      const canGoOn = numbered ? threadId !== null : !received && this.#knowsTurns && options.idempotencyKey !== undefined;
      if (!canGoOn || failures >= ATTEMPTS) {
        if (!received && failure instanceof ConnectionError) throw failure;
        throw new StreamInterrupted("The answer broke off before its end.", { cause: failure });
      }
      yield { reconnecting: true };
      offlineSince = received && globalThis.navigator?.onLine === false ? (offlineSince ?? Date.now()) : null;
      const waits = offlineSince !== null && Date.now() - offlineSince < OFFLINE_LIMIT;
      await pause(waits ? ATTEMPTS : failures, signal);
      failures = waits ? Math.max(failures, 1) : failures + 1;
    }
  }

  async #post<T extends keyof RequestParams>(
    type: T,
    params: RequestParams[T],
    metadata: Record<string, unknown>,
    accept: string,
    signal?: AbortSignal,
  ): Promise<Response> {
    const { url, fetch: override } = this.endpoint();
    const body = JSON.stringify(Object.keys(metadata).length > 0 ? { type, params, metadata } : { type, params });
    const init: RequestInit = {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: accept },
      body,
      ...(signal ? { signal } : {}),
    };
    let response: Response;
    try {
      response = await (override ?? globalThis.fetch.bind(globalThis))(url, init);
    } catch (error) {
      if (signal?.aborted || isAbort(error)) throw error;
      throw new ConnectionError(error instanceof Error ? error.message : String(error), { cause: error });
    }
    if (!response.ok) throw await errorOfAnswer(response);
    return response;
  }
}

async function* frames(response: Response, signal: AbortSignal, limit: () => number | null) {
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new SSEDecoder();
  try {
    while (true) {
      const { done, value } = await readWithin(reader, limit());
      if (done) return;
      // What arrives in one chunk is handed over together, so that it is drawn together.
      for (const frame of decoder.feed(value)) yield frame;
    }
  } catch (error) {
    if (signal.aborted || isAbort(error)) throw error;
    throw new ConnectionError(error instanceof Error ? error.message : String(error), { cause: error });
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

async function readWithin(reader: ReadableStreamDefaultReader<Uint8Array>, limit: number | null) {
  // Servers of another make may think for minutes without a byte.
  if (limit === null) return reader.read();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ConnectionError("The connection has gone silent.")), limit);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

function parse(data: string): unknown {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** Waits before another attempt; ends early when the browser says that it is online again. */
function pause(attempt: number, signal: AbortSignal): Promise<void> {
  const longest = Math.min(400 * 2 ** attempt, LONGEST_PAUSE);
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", finish);
      signal.removeEventListener("abort", abort);
      resolve();
    };
    const abort = (): void => {
      finish();
      reject(new DOMException("Aborted", "AbortError"));
    };
    const timer = setTimeout(finish, longest * (0.5 + Math.random() / 2));
    globalThis.addEventListener?.("online", finish);
    signal.addEventListener("abort", abort, { once: true });
  });
}
