/** What the user is told of an error. */

import type { Translate } from "../contracts";
import { ClientSecretError, ConnectionError, ServerError, StreamInterrupted } from "../protocol/errors";
import type { Failure } from "../state/thread";

/** Returns how an error is shown: the server's words where users can do something with them, a text of ours otherwise. */
export function failureOf(error: unknown): Failure {
  if (error instanceof StreamInterrupted) return interrupted("interrupted");
  if (error instanceof ConnectionError) return { message: null, code: "offline", allowRetry: true };
  if (error instanceof ClientSecretError) return { message: null, code: "client_secret", allowRetry: true, isSignedOut: !error.isTemporary };
  if (!(error instanceof ServerError)) return { message: null, code: "unexpected", allowRetry: true };
  switch (error.status) {
    case 401:
    case 403:
      // What the server says of a secret is for the application, whose user knows of none.
      if (error.code.endsWith("_client_secret")) return { message: null, code: "client_secret", allowRetry: true, isSignedOut: error.status === 401 };
      return { message: error.words, code: "unauthorized", allowRetry: true, isSignedOut: error.status === 401 };
    case 404:
      return { message: null, code: "not_found", allowRetry: false };
    case 413:
      return { message: null, code: "too_large", allowRetry: false };
    case 429:
      return { message: error.words, code: "rate_limited", allowRetry: true, ...(error.retryAt === null ? {} : { retryAt: error.retryAt }), ...boundOf(error) };
    default:
      return { message: error.words, code: error.isTemporary ? "server" : error.code, allowRetry: true, ...(error.status < 500 || error.requestId === null ? {} : { requestId: error.requestId }) };
  }
}

/** What a quota allows, without the time from now on, which is told as a time of day. */
function boundOf({ code, words }: ServerError): { bound?: string } {
  const bound = code === "quota_exceeded" ? /^[^.]+\./.exec(words ?? "")?.[0] : undefined;
  return bound === undefined ? {} : { bound };
}

export function interrupted(code: string): Failure {
  return { message: null, code, allowRetry: true };
}

const KEYS: Record<string, string> = {
  interrupted: "failure.interrupted",
  failed: "failure.interrupted",
  offline: "failure.offline",
  unauthorized: "failure.unauthorized",
  client_secret: "failure.clientSecret",
  rate_limited: "failure.rateLimited",
  not_found: "thread.notFound",
  too_large: "failure.tooLarge",
  server: "failure.server",
};

const PAGE = "{page}";

/**
 * Returns the address of a sign-in that leads back to the page: the page stands where the address has `{page}`, otherwise in
 * the parameter `next`. Undefined where there is no sign-in, and where it would not mend the failure.
 */
export function signInAddress({ isSignedOut }: Failure, signInUrl: string | undefined, page: Location = location): string | undefined {
  if (!isSignedOut || !signInUrl) return undefined;
  const wanted = signInUrl.includes(PAGE) ? signInUrl : `${signInUrl}${signInUrl.includes("?") ? "&" : "?"}next=${PAGE}`;
  const address = wanted.replace(PAGE, "");
  const found = URL.canParse(address, document.baseURI) ? new URL(address, document.baseURI) : null;
  if (found?.protocol !== "http:" && found?.protocol !== "https:") return undefined;
  // Without the origin where it is the same one, for a sign-in should lead to its own pages alone.
  const back = found.origin === page.origin ? page.pathname + page.search + page.hash : page.href;
  return wanted.replace(PAGE, () => encodeURIComponent(back));
}

/** Returns what is said of a failure: when there is a way on, or its words, or else our own. */
export function textOfFailure({ message, code, retryAt, bound, requestId }: Failure, { translate, locale }: { translate: Translate; locale: string }, otherwise = "failure.generic"): string {
  if (retryAt === undefined || retryAt <= Date.now()) {
    const text = message ?? translate(Object.hasOwn(KEYS, code) ? (KEYS[code] ?? otherwise) : otherwise);
    return requestId === undefined ? text : `${text} (${requestId})`;
  }
  // A time, for how long it takes is out of date while it is read.
  const isToday = new Date(retryAt).toDateString() === new Date().toDateString();
  const time = new Intl.DateTimeFormat(locale, { timeStyle: "medium", ...(isToday ? {} : { dateStyle: "short" }) }).format(retryAt);
  return [translate("failure.retryAt", { time }), bound ?? ""].join(" ").trim();
}
