/** One connection to the server: sends a request, reads frames. */

import { SSEDecoder, type Frame } from "../protocol/sse";
import type { Body, Route } from "./request";

export interface Limits {
  attempts: number;
  longestPause: number;
  silence: number;
  offlineLimit: number;
}

/** The server said no, or something that makes no sense; asking again changes nothing. */
export class Refused extends Error {
  constructor(readonly status: number) {
    super(`The server answered ${status}.`);
  }
}

export function post(send: typeof fetch, route: Route, body: Body, more: RequestInit): Promise<Response> {
  return send(route.url, { ...route.init, ...more, body: JSON.stringify(body) });
}

export function isStream(response: Response): boolean {
  return response.ok && response.body !== null && (response.headers.get("content-type") ?? "").includes("text/event-stream");
}

/** Asks for a turn's events behind a cursor; throws where there is no answer, `Refused` where that is final. */
export async function resume(send: typeof fetch, route: Route, threadId: string, after: string | null, signal: AbortSignal): Promise<Response> {
  const params = { thread_id: threadId, ...(after === null ? {} : { after }) };
  const response = await post(send, route, { type: "turns.resume", params }, { signal });
  if (isStream(response)) return response;
  void response.body?.cancel().catch(() => undefined);
  const { status } = response;
  if (status === 408 || status === 425 || status === 429 || status >= 500) throw new Error(`The server answered ${status}.`);
  throw new Refused(status);
}

/**
 * Yields the frames of each chunk together; throws where the connection breaks.
 *
 * `silence` says how long it may be silent; null where nothing could bring it back. Where something could, it also counts
 * as broken after the browser was offline: it may be so without anyone telling.
 */
export async function* framesOf(response: Response, signal: AbortSignal, silence: () => number | null): AsyncGenerator<Frame[]> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new SSEDecoder();
  const broken = new Breakage(() => silence() !== null);
  const abort = (): void => broken.break(signal.reason);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    while (true) {
      const limit = silence();
      const timer = limit === null ? undefined : setTimeout(() => broken.break(new Error("The connection has gone silent.")), limit);
      const { done, value } = await Promise.race([reader.read(), broken.promise]).finally(() => clearTimeout(timer));
      if (done) return;
      const frames = decoder.feed(value);
      if (frames.length > 0) yield frames;
    }
  } finally {
    signal.removeEventListener("abort", abort);
    broken.forget();
    reader.cancel().catch(() => undefined);
  }
}

/** Rejects when something outside of the connection ends it. */
class Breakage {
  readonly promise: Promise<never>;
  #reject: (error: unknown) => void = () => undefined;

  constructor(private readonly canComeBack: () => boolean) {
    this.promise = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.promise.catch(() => undefined);
    globalThis.addEventListener?.("online", this.#online);
  }

  break(error: unknown): void {
    this.#reject(error);
  }

  forget(): void {
    globalThis.removeEventListener?.("online", this.#online);
  }

  readonly #online = (): void => {
    if (this.canComeBack()) this.break(new Error("The browser was offline."));
  };
}

/** Waits before another attempt, and as long as the browser is offline. Rejects when aborted or offline for too long. */
export async function pause(attempt: number, limits: Limits, signal: AbortSignal): Promise<void> {
  const longest = Math.min(400 * 2 ** attempt, limits.longestPause);
  if (globalThis.navigator?.onLine === false) {
    if (!(await wait(limits.offlineLimit, signal))) throw new Error("The browser stayed offline.");
    return;
  }
  await wait(longest * (0.5 + Math.random() / 2), signal);
}

/** Resolves after a time, or sooner when the browser comes online: to true then. */
function wait(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const clear = (): void => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", online);
      signal.removeEventListener("abort", abort);
    };
    const online = (): void => {
      clear();
      resolve(true);
    };
    const abort = (): void => {
      clear();
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      clear();
      resolve(false);
    }, milliseconds);
    globalThis.addEventListener?.("online", online);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}
