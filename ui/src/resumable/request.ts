/** The requests of the protocol, as a page's `fetch` gets them. */

import { errorOfAnswer, unexpectedAnswer } from "../protocol/errors";
import { idempotencyKey } from "../protocol/keys";

/** Requests that are answered with a stream. */
const STREAMING = new Set([
  "threads.create",
  "threads.add_user_message",
  "threads.retry_after_item",
  "threads.add_client_tool_output",
  "threads.add_structured_input",
  "threads.custom_action",
]);
/** Of those, the ones that the server recognises when they are sent twice. */
const KEYED = new Set(["threads.create", "threads.add_user_message"]);

export interface Body {
  type: string;
  params: Record<string, unknown>;
  metadata?: Record<string, unknown>;
}

/** Where and how requests of a page go; without body and signal. */
export interface Route {
  url: string | URL;
  init: RequestInit;
}

export interface ChatRequest extends Route {
  body: Body;
  signal: AbortSignal | undefined;
}

export interface StreamingRequest extends ChatRequest {
  isKeyed: boolean;
  threadId: string | null;
}

/** Returns what a call of `fetch` says in terms of the protocol; null where it is something else. */
export async function read(input: RequestInfo | URL, init: RequestInit | undefined): Promise<ChatRequest | null> {
  let text: BodyInit | null | undefined;
  let route: Route;
  if (typeof Request !== "undefined" && input instanceof Request) {
    const request = init === undefined ? input : new Request(input.clone(), init);
    if (request.method !== "POST" || !request.headers.get("content-type")?.includes("json")) return null;
    text = await request.clone().text();
    const { method, headers, credentials, mode, cache, redirect, referrer, referrerPolicy } = request;
    route = { url: request.url, init: { method, headers, credentials, mode, cache, redirect, referrer, referrerPolicy, signal: request.signal } };
  } else {
    text = init?.body;
    route = { url: input as string | URL, init: { ...init } };
  }
  if (route.init.method?.toUpperCase() !== "POST" || typeof text !== "string") return null;
  const body = parse(text);
  if (body === null) return null;
  const { signal, body: _, ...rest } = route.init;
  return { url: route.url, init: rest, body, signal: signal ?? undefined };
}

/** Returns the request made resumable; null for one whose answer is no stream, or that looks after itself. */
export function asStreaming(request: ChatRequest): StreamingRequest | null {
  const { body } = request;
  if (!STREAMING.has(body.type)) return null;
  if (body.metadata && "resumable" in body.metadata) return null;
  const isKeyed = KEYED.has(body.type);
  const key = isKeyed ? { idempotency_key: idempotencyKey() } : {};
  const threadId = body.params["thread_id"];
  return {
    ...request,
    isKeyed,
    threadId: typeof threadId === "string" ? threadId : null,
    body: { ...body, metadata: { ...key, ...body.metadata, resumable: true } },
  };
}

export function post(send: typeof fetch, route: Route, body: Body, more: RequestInit): Promise<Response> {
  return send(route.url, { ...route.init, ...more, body: JSON.stringify(body) });
}

/** Asks for a turn's events after a cursor. Throws a ServerError where the answer is no stream. */
export async function resume(send: typeof fetch, route: Route, threadId: string, after: string | null, signal: AbortSignal): Promise<Response> {
  const params = { thread_id: threadId, ...(after === null ? {} : { after }) };
  return asStream(await post(send, route, { type: "turns.resume", params }, { signal }));
}

export function isStream(response: Response): boolean {
  return response.ok && response.body !== null && (response.headers.get("content-type") ?? "").includes("text/event-stream");
}

/** Returns an answer that is a stream; throws a ServerError for any other. */
export async function asStream(response: Response): Promise<Response> {
  if (isStream(response)) return response;
  if (!response.ok) throw await errorOfAnswer(response);
  void response.body?.cancel().catch(() => undefined);
  throw unexpectedAnswer(response);
}

function parse(text: string): Body | null {
  try {
    const value: unknown = JSON.parse(text);
    const { type, params, metadata } = (value ?? {}) as Partial<Body>;
    const isOurs = typeof type === "string" && isObject(params) && (metadata === undefined || metadata === null || isObject(metadata));
    return isOurs ? (value as Body) : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
