/**
 * For pages that keep the stock element: a fetch for its option `api.fetch` that makes answers survive lost connections.
 *
 *     import { resumableFetch } from "/ui/resumable-fetch.js";
 *     chat.setOptions({ api: { url: "/chatkit", domainKey, fetch: resumableFetch() } });
 *
 * It marks streaming requests resumable, re-attaches unnoticed after a broken connection, and tells the server to stop
 * the turn when the page aborts, for a resumable turn does not end with its connection.
 */

import { ProtocolClient, type StreamPart } from "./protocol/client";
import { isAbort } from "./protocol/errors";
import type { RequestParams, StreamingType } from "./protocol/wire";

const STREAMING: ReadonlySet<string> = new Set<StreamingType>([
  "threads.create",
  "threads.add_user_message",
  "threads.retry_after_item",
  "threads.add_client_tool_output",
  "threads.add_structured_input",
  "threads.custom_action",
]);
const MESSAGES: ReadonlySet<string> = new Set<StreamingType>(["threads.create", "threads.add_user_message"]);

interface Body {
  type: StreamingType;
  params: RequestParams[StreamingType];
  metadata?: Record<string, unknown>;
}

/** Returns a fetch that sends by another one, the browser's by default; requests that do not stream pass through. */
export function resumableFetch(own: typeof fetch = globalThis.fetch.bind(globalThis)): typeof fetch {
  return async (input, init) => {
    const body = bodyOf(init);
    if (body === null) return own(input, init);
    return follow(own, input, init ?? {}, body);
  };
}

function bodyOf(init: RequestInit | undefined): Body | null {
  if (init?.method?.toUpperCase() !== "POST" || typeof init.body !== "string") return null;
  try {
    const body = JSON.parse(init.body) as Partial<Body> | null;
    return body?.type && STREAMING.has(body.type) && body.params ? (body as Body) : null;
  } catch {
    return null;
  }
}

async function follow(own: typeof fetch, input: RequestInfo | URL, init: RequestInit, body: Body): Promise<Response> {
  let refusal: Response | null = null;
  let headers: Headers | null = null;
  // What the page sends along, such as its token, goes with every request that is made for it.
  const send: typeof fetch = async (_, made) => {
    const told = JSON.parse(String(made?.body)) as Record<string, unknown>;
    const metadata = { ...body.metadata, ...(told["metadata"] as object | undefined) };
    const response = await own(input, { ...init, signal: made?.signal ?? null, body: JSON.stringify({ ...told, metadata }) });
    if (response.ok) headers ??= response.headers;
    else refusal = response.clone();
    return response;
  };
  const client = new ProtocolClient(() => ({ url: String(input), fetch: send }));
  const abort = new AbortController();
  let threadId = "thread_id" in body.params ? body.params.thread_id : null;
  let isStopped = false;

  /** Ends the turn on the server, which would go on without this connection. */
  const stop = (): void => {
    if (isStopped) return;
    isStopped = true;
    if (threadId !== null && client.knowsTurns) client.call("turns.stop", { thread_id: threadId }).catch(() => undefined);
    abort.abort();
  };
  init.signal?.addEventListener("abort", stop, { once: true });
  if (init.signal?.aborted) abort.abort();

  const key = MESSAGES.has(body.type) ? { idempotencyKey: crypto.randomUUID() } : {};
  const parts = client.stream(body.type, body.params, { signal: abort.signal, threadId, ...key });
  let first: IteratorResult<StreamPart>;
  try {
    first = await parts.next();
  } catch (error) {
    // The server's own refusal is what the element knows how to show.
    if (refusal) return refusal;
    throw error;
  }

  const encoder = new TextEncoder();
  let waiting: IteratorResult<StreamPart> | null = first;
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        while (true) {
          const { done, value } = waiting ?? (await parts.next());
          waiting = null;
          if (done || "end" in value) {
            controller.close();
            return;
          }
          if (!("event" in value)) continue;
          const { event } = value;
          if (event.type === "thread.created" || event.type === "thread.updated") threadId = event.thread.id;
          controller.enqueue(encoder.encode(`data: ${JSON.stringify(event)}\n\n`));
          return;
        }
      } catch (error) {
        if (isAbort(error)) controller.error(new DOMException("Aborted", "AbortError"));
        else controller.error(error);
      }
    },
    cancel: stop,
  });
  return new Response(stream, { status: 200, headers: headers ?? { "Content-Type": "text/event-stream" } });
}
