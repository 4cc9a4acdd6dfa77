/** `resumable-fetch.js`: lets a page keep the stock element and have answers that survive a broken connection. */

import { Departure } from "./resumable/departure";
import { asStreaming, read } from "./resumable/request";
import { answerOf } from "./resumable/response";
import { Turn } from "./resumable/turn";
import { Updates, type Update } from "./resumable/updates";

export type { Update };

export interface ResumableFetchOptions {
  /** Sends the requests, with whatever headers the server wants of this page. The browser's own by default. */
  fetch?: typeof fetch;
  /** Told of answers that run on the server without a stream on this page: after a reload, say. */
  onUpdate?: (update: Update) => void;
  /** How often an answer is asked for again before its stream ends with an error. */
  attempts?: number;
  /** The longest pause between two attempts, in milliseconds. */
  longestPause?: number;
  /** Milliseconds without a byte after which a connection counts as dead; the server sends a comment every 15 s. */
  silence?: number;
  /** How long an answer is waited for while the browser is offline, in milliseconds. */
  offlineLimit?: number;
}

/** Returns a `fetch` for the option `api.fetch`. Call it once, not at every rendering. */
export function resumableFetch(options: ResumableFetchOptions = {}): typeof fetch {
  const send = options.fetch ?? globalThis.fetch.bind(globalThis);
  const limits = {
    attempts: options.attempts ?? 8,
    longestPause: options.longestPause ?? 6000,
    silence: options.silence ?? 45_000,
    offlineLimit: options.offlineLimit ?? 600_000,
    offlinePause: options.offlineLimit ?? 600_000,
  };
  const departure = new Departure();
  const streaming = new Set<string>();
  const updates = options.onUpdate ? new Updates(send, limits, streaming, options.onUpdate) : null;
  return async (input, init) => {
    const request = await read(input, init);
    const resumable = request && asStreaming(request);
    if (resumable) return answerOf(new Turn(resumable, send, limits, streaming), resumable.signal, departure);
    const response = await send(input, init);
    if (request) updates?.look(request, response);
    return response;
  };
}
