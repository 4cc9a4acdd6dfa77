import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ProtocolClient, type StreamPart } from "../../src/client/client";
import { ConnectionError, ServerError, StreamInterrupted } from "../../src/protocol/errors";
import type { UserMessageInput } from "../../src/protocol/wire";
import { cutting, end, EVENTS, json, numbered, openStream, plain, serverOf, stream, THREAD } from "../resumable/server";

const INPUT: UserMessageInput = { content: [], attachments: [], inference_options: {} };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Reads a stream to its end, and lets pauses pass. */
async function read(send: typeof fetch, onPart: (part: StreamPart) => void = () => undefined, type: "threads.create" | "turns.resume" = "threads.create", step = 1000, known?: ProtocolClient) {
  const parts: StreamPart[] = [];
  const client = known ?? new ProtocolClient(() => ({ url: "https://chat.example.com/chatkit", fetch: send }));
  const { signal } = new AbortController();
  const streamed = type === "threads.create" ? client.stream(type, { input: INPUT }, { signal, threadId: null, idempotencyKey: "k" }) : client.stream(type, { thread_id: "thr_1" }, { signal, threadId: "thr_1" });
  let failure: unknown = null;
  let isOver = false;
  const reading = (async () => {
    try {
      for await (const part of streamed) {
        parts.push(part);
        onPart(part);
      }
    } catch (error) {
      failure = error;
    }
    isOver = true;
  })();
  for (let turn = 0; turn < 5000 && !isOver; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (turn % 20 === 19) await vi.advanceTimersByTimeAsync(step);
  }
  if (!isOver) throw new Error("Nothing came of it.");
  await reading;
  return { client, failure, events: parts.flatMap((part) => ("event" in part ? [part.event] : [])), others: parts.filter((part) => !("event" in part)) };
}

const BREAK = [{ reconnecting: true }, { reconnecting: false }];

test("cut anywhere after its first event, an answer has every event once", async () => {
  const first = numbered(EVENTS.slice(0, 1)).length;
  const length = new TextEncoder().encode(numbered(EVENTS) + end()).length;
  for (let cut = first; cut < length; cut += 7) {
    const got = await read(cutting(EVENTS, [cut], 1000).fetch);
    expect(got.events, `cut after ${cut} bytes`).toEqual(EVENTS);
    expect(got.others).toEqual([...BREAK, { end: "completed" }]);
    expect(got.client.knowsTurns).toBe(true);
  }
});

test("a connection is replaced when the browser comes online, for it may be dead", async () => {
  const { fetch, asked } = serverOf(({ type, params, init }) => {
    if (type === "threads.create") return stream(numbered(EVENTS.slice(0, 3)), { open: true, signal: init.signal ?? null });
    const from = Number(String(params["after"]).split(":")[1]);
    return stream(numbered(EVENTS.slice(from), from + 1) + end());
  });
  const begun = Date.now();
  const got = await read(fetch, (part) => {
    if ("event" in part && part.event.type === "thread.item.added") window.dispatchEvent(new Event("online"));
  });
  expect([got.events, got.others]).toEqual([EVENTS, [...BREAK, { end: "completed" }]]);
  expect(asked.map(({ type }) => type)).toEqual(["threads.create", "turns.resume"]);
  expect(Date.now() - begun).toBeLessThanOrEqual(2000);
});

test("a request that nothing answers is sent again when the browser comes online, or after a while", async () => {
  for (const isOnline of [true, false]) {
    let resumed = 0;
    const { fetch, asked } = serverOf(({ type, params, init }) => {
      if (type === "threads.create") return stream(numbered(EVENTS.slice(0, 3)));
      resumed += 1;
      const from = Number(String(params["after"]).split(":")[1]);
      if (resumed > 1) return stream(numbered(EVENTS.slice(from), from + 1) + end());
      if (isOnline) setImmediate(() => window.dispatchEvent(new Event("online")));
      return new Promise<Response>((_, reject) => {
        init.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      });
    });
    const begun = Date.now();
    const got = await read(fetch);
    expect([got.events, got.failure]).toEqual([EVENTS, null]);
    expect(asked.map(({ type }) => type)).toEqual(["threads.create", "turns.resume", "turns.resume"]);
    if (isOnline) expect(Date.now() - begun).toBeLessThanOrEqual(4000);
    else expect(Date.now() - begun).toBeGreaterThanOrEqual(45_000);
  }
});

test("a connection that nothing could bring back is kept when the browser comes online", async () => {
  const { fetch, asked } = serverOf(() => stream(plain(EVENTS)));
  const got = await read(fetch, () => window.dispatchEvent(new Event("online")));
  expect([got.events, got.others, got.failure]).toEqual([EVENTS, [], null]);
  expect(got.client.knowsTurns).toBe(false);
  expect(asked).toHaveLength(1);
});

test("a stream without numbers that breaks is over", async () => {
  const got = await read(serverOf(() => stream(plain(EVENTS), { cut: 400 })).fetch);
  expect(got.failure).toBeInstanceOf(StreamInterrupted);
  expect(got.others).toEqual([]);
});

test("ids of another form number events as well", async () => {
  const ids = EVENTS.map((event, index) => `id: event-${index}\ndata: ${JSON.stringify(event)}\n\n`);
  const { fetch, asked } = serverOf(({ type }) => (type === "threads.create" ? stream(ids.slice(0, 3).join("")) : stream(ids.slice(3).join("") + end())));
  const got = await read(fetch);
  expect([got.events, got.others]).toEqual([EVENTS, [...BREAK, { end: "completed" }]]);
  expect(asked[1]?.params).toEqual({ thread_id: "thr_1", after: "event-2" });
});

test("another turn's events are not taken for this one's", async () => {
  const foreign = numbered(EVENTS, 50).replaceAll("turn_1", "turn_2");
  const { fetch } = serverOf(({ type }) => (type === "threads.create" ? stream(numbered(EVENTS.slice(0, 3))) : stream(foreign)));
  const got = await read(fetch);
  expect(got.events).toEqual(EVENTS.slice(0, 3));
  expect(got.failure).toMatchObject({ code: "turn_not_found" });
});

test.each([503, 429, 408])("a turn whose server answers %d is asked for again, and then given up", async (status) => {
  let away = 3;
  const back = await read(serverOf(() => ((away -= 1) > 0 ? json({}, status) : stream(numbered(EVENTS) + end()))).fetch, undefined, "turns.resume");
  expect([back.events, back.others]).toEqual([EVENTS, [{ reconnecting: true }, ...BREAK, { end: "completed" }]]);
  const gone = serverOf(() => json({}, status));
  expect((await read(gone.fetch, undefined, "turns.resume")).failure).toMatchObject({ status });
  expect(gone.asked).toHaveLength(7);
});

test("the answer to a message is the user's, whatever it is", async () => {
  for (const status of [503, 400]) {
    const { fetch, asked } = serverOf(() => json({ error: { code: "custom" } }, status));
    const { failure, others } = await read(fetch);
    expect(failure).toBeInstanceOf(ServerError);
    expect(failure).toMatchObject({ status, code: "custom" });
    expect([asked.length, others]).toEqual([1, []]);
  }
});

test("a message that cannot be sent while the browser is offline fails soon, to a server that is known as well", async () => {
  const { fetch, asked } = cutting(EVENTS, []);
  let isAway = false;
  const { client } = await read((input, init) => (isAway ? Promise.reject(new TypeError("network error")) : fetch(input, init)));
  isAway = true;
  vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  const begun = Date.now();
  const got = await read(fetch, undefined, "threads.create", 1000, client);
  expect(got.failure).toBeInstanceOf(ConnectionError);
  expect(Date.now() - begun).toBeLessThan(30_000);
  expect(asked).toHaveLength(1);
});

test("a browser that stays offline gets an error in the end, though it tries on", async () => {
  vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  const begun = Date.now();
  const { fetch, asked } = serverOf(({ type }) => (type === "threads.create" ? stream(numbered(EVENTS), { cut: 600 }) : null));
  const got = await read(fetch, undefined, "threads.create", 4000);
  expect(got.failure).toBeInstanceOf(StreamInterrupted);
  expect(Date.now() - begun).toBeGreaterThanOrEqual(600_000);
  expect(asked.length).toBeGreaterThan(60);
});

test("a stream is read on for a title where somebody wants it, and ends before it is there", async () => {
  const untitled = plain([{ type: "thread.updated", thread: THREAD }]);
  const titled = plain([{ type: "thread.updated", thread: { ...THREAD, title: "Tea" } }]);
  for (const [happens, found] of [["told", "Tea"], ["broken", null], ["unwanted", null]] as const) {
    const told = openStream(numbered(EVENTS) + end("completed", { awaits_title: true }));
    let title: Promise<{ title?: string | null } | null> | undefined;
    const got = await read(serverOf(() => told.response).fetch, (part) => {
      if ("end" in part && happens !== "unwanted") title = part.title?.();
    });
    expect(got.events).toEqual(EVENTS);
    expect(got.others).toEqual([{ end: "completed", title: expect.any(Function) }]);
    expect(told.isCancelled()).toBe(happens === "unwanted");
    if (happens === "told") told.send(untitled + titled);
    if (happens === "broken") told.fail();
    expect((await title)?.title ?? null).toBe(found);
  }
});
