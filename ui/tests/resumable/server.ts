/** A server in memory that numbers its events, and whose connections break where a test says. */

export interface Asked {
  type: string;
  params: Record<string, unknown>;
  metadata?: Record<string, unknown>;
  init: RequestInit;
}

type Answer = (asked: Asked) => Response | Promise<Response> | null;

const encoder = new TextEncoder();

export const THREAD = { id: "thr_1", created_at: "2026-01-01T00:00:00Z", status: { type: "active" }, items: { data: [], has_more: false } };
export const EVENTS: object[] = [
  { type: "thread.created", thread: THREAD },
  { type: "thread.item.done", item: { type: "user_message", id: "msg_1", content: [] } },
  { type: "thread.item.added", item: { type: "assistant_message", id: "msg_2", content: [] } },
  ...["Grüße", " und ", "👩‍💻 Küsse", "\n\ndata: not a line"].map((delta) => ({
    type: "thread.item.updated",
    item_id: "msg_2",
    update: { type: "assistant_message.content_part.text_delta", content_index: 0, delta },
  })),
  { type: "client_effect", name: "open", data: {} },
  { type: "thread.item.done", item: { type: "assistant_message", id: "msg_2", content: [{ type: "output_text", text: "…" }] } },
];

export const plain = (events: object[]): string => events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");
export const end = (status = "completed", more: object = {}): string => `id: turn_1:99\nevent: turn.end\ndata: ${JSON.stringify({ turn_id: "turn_1", status, ...more })}\n\n`;
export const numbered = (events: object[], first = 1): string =>
  events.map((event, index) => `id: turn_1:${first + index}\ndata: ${JSON.stringify(event)}\n\n`).join("");

/** A stream of text in chunks, that breaks after so many bytes, or stays open where it is told to. */
export function stream(text: string, options: { cut?: number; chunk?: number; open?: boolean; signal?: AbortSignal | null } = {}): Response {
  const all = encoder.encode(text);
  const bytes = all.subarray(0, options.cut ?? all.length);
  const size = options.chunk ?? 64;
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      options.signal?.addEventListener("abort", () => {
        try {
          controller.error(options.signal?.reason);
        } catch {
          // It is over already.
        }
      });
    },
    async pull(controller) {
      if (at < bytes.length) {
        controller.enqueue(bytes.subarray(at, at + size));
        at += size;
      } else if (options.cut !== undefined && options.cut < all.length) controller.error(new TypeError("network error"));
      else if (options.open) await new Promise(() => undefined);
      else controller.close();
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream; charset=utf-8" } });
}

/** A stream that begins with a text and stays open; what is sent later follows. */
export function openStream(text: string) {
  let sends: ReadableStreamDefaultController<Uint8Array>;
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      sends = controller;
      controller.enqueue(encoder.encode(text));
    },
    cancel() {
      isCancelled = true;
    },
  });
  return {
    response: new Response(body, { headers: { "Content-Type": "text/event-stream; charset=utf-8" } }),
    send: (more: string) => sends.enqueue(encoder.encode(more)),
    fail: () => sends.error(new TypeError("network error")),
    isCancelled: () => isCancelled,
  };
}

export const json = (value: unknown, status = 200): Response => Response.json(value, { status });

/** A `fetch` that notes what is asked; the answers are tried in turn. */
export function serverOf(...answers: Answer[]): { fetch: typeof fetch; asked: Asked[] } {
  const asked: Asked[] = [];
  return {
    asked,
    fetch: async (_, init = {}) => {
      const { body, ...rest } = init;
      const request = { ...(JSON.parse(String(body)) as Asked), init: rest };
      asked.push(request);
      if (init.signal?.aborted) throw init.signal.reason;
      for (const answer of answers) {
        const response = await answer(request);
        if (response !== null) return response;
      }
      throw new TypeError("network error");
    },
  };
}

/** A server that answers a message with the events, its connections cut after these numbers of bytes, the next ones whole. */
export function cutting(events: object[], cuts: number[], chunk = 64): ReturnType<typeof serverOf> {
  let connection = 0;
  const whole = (from: number): Response => {
    const cut = cuts[connection];
    connection += 1;
    return stream(numbered(events.slice(from), from + 1) + end(), { chunk, ...(cut === undefined ? {} : { cut }) });
  };
  return serverOf(({ type, params }) => {
    if (type === "turns.resume") return whole(Number(String(params["after"]).split(":")[1]));
    if (type === "threads.create" || type === "threads.custom_action") return whole(0);
    return null;
  });
}

export const message = (): RequestInit => ({
  method: "POST",
  headers: { "Content-Type": "application/json", Accept: "text/event-stream", "chatkit-frame-instance-id": "f1" },
  body: JSON.stringify({ type: "threads.create", params: { input: { content: [{ type: "input_text", text: "hello" }], attachments: [], inference_options: {} } } }),
});
export const action = (): RequestInit => ({
  ...message(),
  body: JSON.stringify({ type: "threads.custom_action", params: { thread_id: "thr_1", action: { type: "go" } } }),
});
