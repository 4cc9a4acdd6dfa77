/** What the user is told of an error. */

import { ConnectionError, ServerError, StreamInterrupted } from "../protocol/errors";
import type { Failure } from "../state/thread";

/** Returns how an error is shown: the server's words where users can do something with them, a text of ours otherwise. */
export function failureOf(error: unknown): Failure {
  if (error instanceof StreamInterrupted) return interrupted("interrupted");
  if (error instanceof ConnectionError) return { message: null, code: "offline", allowRetry: true };
  if (!(error instanceof ServerError)) return { message: null, code: "unexpected", allowRetry: true };
  switch (error.status) {
    case 401:
    case 403:
      return { message: error.words, code: "unauthorized", allowRetry: true };
    case 404:
      return { message: null, code: "not_found", allowRetry: false };
    case 413:
      return { message: null, code: "too_large", allowRetry: false };
    default:
      return { message: error.words, code: error.isTemporary ? "server" : error.code, allowRetry: true };
  }
}

export function interrupted(code: string): Failure {
  return { message: null, code, allowRetry: true };
}

const KEYS: Record<string, string> = {
  interrupted: "failure.interrupted",
  failed: "failure.interrupted",
  offline: "failure.offline",
  unauthorized: "failure.unauthorized",
  not_found: "thread.notFound",
  too_large: "failure.tooLarge",
  server: "failure.server",
};

/** The key of the text for a failure that has no words of its own. */
export function failureKey(code: string, otherwise = "failure.generic"): string {
  return Object.hasOwn(KEYS, code) ? (KEYS[code] ?? otherwise) : otherwise;
}
