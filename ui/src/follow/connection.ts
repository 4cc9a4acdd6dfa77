/** One connection of a turn's stream: its frames, and the pause before the next one. */

import { type Frame, SSEDecoder } from "../protocol/sse";

export interface Limits {
  /** Attempts without anything new before a turn is given up. */
  attempts: number;
  /** The longest pause between two attempts, in milliseconds. */
  longestPause: number;
  /** Milliseconds without a byte after which a connection counts as dead. */
  silence: number;
  /** How long a turn is waited for while the browser is offline, in milliseconds. */
  offlineLimit: number;
  /** The longest pause while the browser is offline, in milliseconds: it may say so and still reach the server. */
  offlinePause: number;
}

/** The longest pause that a server is granted, in milliseconds. */
const LONGEST_WANTED = 120_000;

/** Sends a request that may be sent again; gives it up where no answer comes within the limit, or the browser comes online. */
export async function openWithin(limit: number, signal: AbortSignal, open: (signal: AbortSignal) => Promise<Response>): Promise<Response> {
  const attempt = new AbortController();
  const abort = (): void => attempt.abort(signal.reason);
  const online = (): void => attempt.abort(new Error("The browser was offline."));
  const timer = setTimeout(() => attempt.abort(new Error("No answer came.")), limit);
  signal.addEventListener("abort", abort);
  globalThis.addEventListener?.("online", online);
  if (signal.aborted) abort();
  try {
    return await open(attempt.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    globalThis.removeEventListener?.("online", online);
  }
}

/**
 * Yields the frames of a response; throws where the connection breaks.
 *
 * `silence` returns how many milliseconds it may be silent; null where nothing could bring it back. Where something could,
 * the connection also counts as dead when the browser comes online, for nothing else may ever say so.
 */
export async function* framesOf(response: Response, signal: AbortSignal, silence: () => number | null): AsyncGenerator<Frame> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new SSEDecoder();
  const reasons: unknown[] = [];
  // Not a race against the reads: its promise would keep something of every chunk.
  const cut = (reason: unknown): void => {
    reasons.push(reason);
    reader.cancel().catch(() => undefined);
  };
  const abort = (): void => cut(signal.reason);
  const online = (): void => {
    if (silence() !== null) cut(new Error("The browser was offline."));
  };
  signal.addEventListener("abort", abort);
  globalThis.addEventListener?.("online", online);
  if (signal.aborted) abort();
  try {
    while (true) {
      const limit = silence();
      const timer = limit === null ? undefined : setTimeout(() => cut(new Error("The connection has gone silent.")), limit);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (reasons.length > 0) throw reasons[0];
      if (done) return;
      // What arrives in one chunk is handed over together, so that it is drawn together.
      for (const frame of decoder.feed(value)) yield frame;
    }
  } finally {
    signal.removeEventListener("abort", abort);
    globalThis.removeEventListener?.("online", online);
    reader.cancel().catch(() => undefined);
  }
}

export function isOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}

/**
 * Waits before another attempt, the longer the more have failed; ends early when the browser comes online.
 *
 * @param until When the server wants to be asked again, in milliseconds since 1970.
 */
export function pause(attempt: number, limits: Limits, signal: AbortSignal, waitsForNetwork = isOffline(), until: number | null = null): Promise<void> {
  if (waitsForNetwork) return wait(limits.offlinePause, signal);
  const longest = Math.min(400 * 2 ** attempt, limits.longestPause);
  const wanted = Math.min((until ?? 0) - Date.now(), LONGEST_WANTED);
  return wait(Math.max(longest * (0.5 + Math.random() / 2), wanted), signal);
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const clear = (): void => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", finish);
      signal.removeEventListener("abort", abort);
    };
    const finish = (): void => {
      clear();
      resolve();
    };
    const abort = (): void => {
      clear();
      reject(signal.reason);
    };
    const timer = setTimeout(finish, milliseconds);
    globalThis.addEventListener?.("online", finish);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}
