/** Speaks the protocol: one POST a request, JSON or a stream of events as the answer. */

import type { Limits } from "../follow/connection";
import { follow, type Heard, type Part, type Source } from "../follow/follow";
import { Position } from "../follow/position";
import { authorised, type Endpoint } from "./endpoint";
import { asConnectionError, ClientSecretError, errorOfAnswer, isAbort, unexpectedAnswer } from "../protocol/errors";
import type { Answers, Capabilities, RequestParams, StreamingType, ThreadEvent } from "../protocol/wire";

/** What a stream yields: an event, how the turn ended, or that the connection broke or is back. */
export type StreamPart = Exclude<Part, Heard> | (Heard & { event: ThreadEvent });

const LIMITS: Limits = {
  attempts: 6,
  longestPause: 8000,
  // Servers send a comment at least every 15 s.
  silence: 45_000,
  offlineLimit: 600_000,
  offlinePause: 8000,
};

export class ProtocolClient {
  /** Whether the server has shown that it numbers events; only such a one recognises a message that is sent twice. */
  #knowsTurns = false;

  /** What the server has said that it can do; null where it has not. */
  #capabilities: Capabilities | null = null;

  get knowsTurns(): boolean {
    return this.#knowsTurns;
  }

  constructor(private readonly endpoint: () => Endpoint) {}

  /** Returns false where the server has said that it cannot do something; the answer to `threads.list` says so. */
  can(what: keyof Capabilities): boolean {
    return this.#capabilities?.[what] !== false;
  }

  /** Returns whether the server has said that it can do something, for what only some servers can. */
  offers(what: keyof Capabilities): boolean {
    return this.#capabilities?.[what] === true;
  }

  /** Whether the server was asked what it can do, and has answered. */
  get knowsCapabilities(): boolean {
    return this.#capabilities !== null;
  }

  /** Sends a request whose answer is JSON. */
  async call<T extends keyof Answers>(type: T, params: RequestParams[T], signal?: AbortSignal): Promise<Answers[T]> {
    const response = await this.#post(type, params, {}, "application/json", signal);
    try {
      const answer = (await response.json()) as Answers[T];
      if ("capabilities" in params) this.#capabilities = (answer as Answers["threads.list"] | null)?.capabilities ?? null;
      return answer;
    } catch (error) {
      if (signal?.aborted || isAbort(error)) throw error;
      if (error instanceof SyntaxError) throw unexpectedAnswer(response);
      throw asConnectionError(error);
    }
  }

  /**
   * Sends a request whose answer is a stream, and yields its parts; after a broken connection it continues where it was.
   *
   * Ends after an `end` part, or, with servers that do not number their events, when the stream closes.
   */
  async *stream<T extends StreamingType>(
    type: T,
    params: RequestParams[T],
    options: { signal: AbortSignal; threadId: string | null; idempotencyKey?: string },
  ): AsyncGenerator<StreamPart> {
    const { signal, threadId, idempotencyKey } = options;
    const metadata = { resumable: true, ...(idempotencyKey ? { idempotency_key: idempotencyKey } : {}) };
    const position = type === "turns.resume" && threadId !== null ? Position.before(threadId, null) : new Position(threadId);
    const source: Source = {
      position,
      // The same key makes the second one the same turn, so nothing is said twice.
      canRepeat: this.#knowsTurns && idempotencyKey !== undefined,
      begin: () => this.#open(type, params, metadata, signal),
      resume: (id, cursor, within) => this.#open("turns.resume", { thread_id: id, ...(cursor === null ? {} : { after: cursor }) }, metadata, within),
    };
    for await (const part of follow(source, LIMITS, signal)) {
      this.#knowsTurns ||= position.cursor !== null;
      if (!("event" in part) || part.event !== null) yield part as StreamPart;
    }
  }

  async #open<T extends StreamingType>(type: T, params: RequestParams[T], metadata: Record<string, unknown>, signal: AbortSignal): Promise<Response> {
    const response = await this.#post(type, params, metadata, "text/event-stream", signal);
    // Pages that mock the server may leave the type out.
    if (/^(text\/html|application\/json)/.test(response.headers.get("content-type") ?? "")) throw unexpectedAnswer(response);
    return response;
  }

  async #post<T extends keyof RequestParams>(
    type: T,
    params: RequestParams[T],
    metadata: Record<string, unknown>,
    accept: string,
    signal?: AbortSignal,
  ): Promise<Response> {
    const endpoint = this.endpoint();
    const { url, fetch: send = globalThis.fetch.bind(globalThis) } = endpoint;
    const body = JSON.stringify(Object.keys(metadata).length > 0 ? { type, params, metadata } : { type, params });
    const init = (headers: Record<string, string>): RequestInit => ({
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: accept, ...headers },
      body,
      ...(signal ? { signal } : {}),
    });
    let response: Response;
    try {
      response = await authorised(endpoint, (headers) => send(url, init(headers)), signal);
    } catch (error) {
      if (signal?.aborted || isAbort(error) || error instanceof ClientSecretError) throw error;
      throw asConnectionError(error);
    }
    if (!response.ok) throw await errorOfAnswer(response);
    return response;
  }
}
