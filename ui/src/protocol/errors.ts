/** What can go wrong between the page and the server. */

/** The server answered, and said no. */
export class ServerError extends Error {
  override readonly name = "ServerError";

  constructor(
    message: string,
    /** HTTP status. */
    readonly status: number,
    /** The server's stable code, such as `thread_busy`. */
    readonly code: string,
    /** What the server itself says of it; null where it gave no words, or a proxy answered. */
    readonly words: string | null = null,
    /** When the server wants to be asked again at the earliest, in milliseconds since 1970; null where it does not say. */
    readonly retryAt: number | null = null,
    /** The id under which the server's log has the request; null where the answer has none. */
    readonly requestId: string | null = null,
  ) {
    super(message);
  }

  /** Whether the same request may succeed later without any change. */
  get isTemporary(): boolean {
    return [408, 425, 429].includes(this.status) || this.status >= 500 || this.code === "unexpected_answer";
  }
}

/** The page's `getClientSecret` gave no secret. */
export class ClientSecretError extends Error {
  override readonly name = "ClientSecretError";

  /** Whether it may succeed soon without any change: a page's `fetch` that finds no connection throws a TypeError. */
  get isTemporary(): boolean {
    return this.cause instanceof TypeError;
  }
}

/** The server cannot be reached, or the connection broke. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** Returns an error that a request or a read has thrown as one of the connection. */
export function asConnectionError(error: unknown): ConnectionError {
  if (error instanceof ConnectionError) return error;
  return new ConnectionError(error instanceof Error ? error.message : String(error), { cause: error });
}

/** The stream ended before the turn did, and nothing could bring it back. */
export class StreamInterrupted extends Error {
  override readonly name = "StreamInterrupted";
}

/** Returns the error that an answer with a failure status carries. */
export async function errorOfAnswer(response: Response): Promise<ServerError> {
  let code = `http_${response.status}`;
  let message = "";
  try {
    const body: unknown = await response.json();
    const told = (body as { error?: { code?: unknown; message?: unknown } } | null)?.error;
    if (typeof told?.code === "string") code = told.code;
    if (typeof told?.message === "string") message = told.message;
    const detail = (body as { detail?: unknown } | null)?.detail;
    if (!message && typeof detail === "string") message = detail;
  } catch {
    // The body is no JSON: a proxy's page, say. The status has to do.
  }
  const retryAt = response.status === 429 ? timeOf(response.headers.get("retry-after")) : null;
  const requestId = /^[\w.:=+/-]{1,128}$/.exec(response.headers.get("x-request-id") ?? "")?.[0] ?? null;
  return new ServerError(message || `HTTP ${response.status}`, response.status, code, message || null, retryAt, requestId);
}

/** Reads a header `Retry-After`: seconds, or a date. */
function timeOf(text: string | null): number | null {
  const time = text !== null && /^\d+$/.test(text) ? Date.now() + Number(text) * 1000 : Date.parse(text ?? "");
  return Number.isNaN(time) ? null : time;
}

/** The error of an answer that is of success and still none: a proxy's page, a sign-in form. */
export function unexpectedAnswer(response: Response): ServerError {
  const type = response.headers.get("content-type") ?? "no content type";
  return new ServerError(`The server answered with something else than the protocol's (${type}).`, response.status, "unexpected_answer");
}

/** Whether an error says that the page is not let in: nothing is wrong with the thread, or with the answer that runs there. */
export function isUnauthorised(error: unknown): boolean {
  return error instanceof ClientSecretError || (error instanceof ServerError && [401, 403].includes(error.status));
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
