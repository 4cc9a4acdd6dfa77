import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { resumableFetch } from "../../src/resumable-fetch";
import { action, cutting, end, EVENTS, json, message, numbered, plain, serverOf, stream, THREAD } from "./server";

const ERROR = plain([{ type: "error", code: "stream.error", allow_retry: true }]);
const URL = "https://chat.example.com/chatkit";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Lets pauses pass until a promise is settled. */
async function soon<T>(promise: Promise<T>, step = 1000): Promise<T> {
  let isSettled = false;
  const settled = promise.then(
    () => (isSettled = true),
    () => (isSettled = true),
  );
  for (let turn = 0; turn < 5000 && !isSettled; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (turn % 20 === 19) await vi.advanceTimersByTimeAsync(step);
  }
  if (!isSettled) throw new Error("Nothing came of it.");
  await settled;
  return promise;
}

/** Lets pauses pass until something holds. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2000 && !holds(); turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (turn % 20 === 19) await vi.advanceTimersByTimeAsync(200);
  }
}

const textOf = (fetch: typeof globalThis.fetch, init: RequestInit): Promise<string> => soon(fetch(URL, init).then((response) => response.text()));

test("an answer in one piece is that of an ordinary request", async () => {
  const { fetch, asked } = cutting(EVENTS, []);
  const wrapped = resumableFetch({ fetch });
  const response = await wrapped(URL, message());
  expect(await soon(response.text())).toBe(plain(EVENTS));
  expect([response.status, response.headers.get("content-type"), response.url]).toEqual([200, "text/event-stream; charset=utf-8", ""]);
  expect(asked).toHaveLength(1);
  expect(asked[0]?.metadata).toEqual({ resumable: true, idempotency_key: expect.stringMatching(/^[0-9a-f]{32}$/) as string });
  expect(asked[0]?.init.headers).toEqual(message().headers);
});

test("cut anywhere, once, the page gets every event once", async () => {
  const length = new TextEncoder().encode(numbered(EVENTS) + end()).length;
  for (let cut = 0; cut < length; cut += 1) {
    const { fetch, asked } = cutting(EVENTS, [cut], 1000);
    expect(await textOf(resumableFetch({ fetch }), message()), `cut after ${cut} bytes`).toBe(plain(EVENTS));
    expect(asked).toHaveLength(2);
  }
});

test.each([[[40, 300, 10, 0, 500, 90]], [[200, 200, 200, 200, 200, 200]], [[0, 0, 0, 0, 0]]])("cut often, at %j", async (cuts) => {
  const { fetch, asked } = cutting(EVENTS, cuts);
  expect(await textOf(resumableFetch({ fetch }), message())).toBe(plain(EVENTS));
  const keys = asked.filter(({ type }) => type === "threads.create").map(({ metadata }) => metadata?.["idempotency_key"]);
  expect(new Set(keys).size).toBe(1);
});

test("what is no streaming request passes as it is", async () => {
  const { fetch: send, asked } = serverOf(() => json({ data: [] }));
  const seen = vi.fn(send);
  const wrapped = resumableFetch({ fetch: seen });
  const list = { method: "POST", body: JSON.stringify({ type: "threads.list", params: { limit: 9999 } }) };
  await wrapped(URL, list);
  expect(seen.mock.calls[0]).toEqual([URL, list]);
  expect(asked[0]?.metadata).toBeUndefined();

  const form = { method: "POST", body: new FormData() };
  const other = vi.fn(async () => new Response("ok"));
  await resumableFetch({ fetch: other })(URL, form);
  expect(other).toHaveBeenCalledWith(URL, form);
  const own = { ...message(), body: message().body?.toString().replace(/}$/, ',"metadata":{"resumable":true}}') as string };
  await resumableFetch({ fetch: other })(URL, own);
  expect(other).toHaveBeenLastCalledWith(URL, own);
});

test("a Request object is understood, and metadata of the page is kept", async () => {
  const { fetch, asked } = cutting(EVENTS, [120]);
  const body = JSON.stringify({ ...(JSON.parse(String(message().body)) as object), metadata: { source: "shop" } });
  const request = new Request(URL, { ...message(), body });
  expect(await soon(resumableFetch({ fetch })(request).then((response) => response.text()))).toBe(plain(EVENTS));
  expect(asked[0]?.metadata).toMatchObject({ source: "shop", resumable: true });
});

test("a server that does not number its events is left alone", async () => {
  const broken = serverOf(() => stream(plain(EVENTS), { cut: 400 }));
  const response = await resumableFetch({ fetch: broken.fetch })(URL, message());
  await expect(soon(response.text())).rejects.toThrow("network error");
  expect(broken.asked).toHaveLength(1);
  const whole = serverOf(() => stream(plain(EVENTS)));
  expect(await textOf(resumableFetch({ fetch: whole.fetch }), message())).toBe(plain(EVENTS));
});

test("a stream that cannot be asked for again outlives a change of network", async () => {
  const { fetch } = serverOf(({ init }) => stream(plain(EVENTS), { open: true, signal: init.signal ?? null }));
  const reader = (await resumableFetch({ fetch })(URL, message())).body?.getReader();
  let text = "";
  while (text.length < plain(EVENTS).length) text += new TextDecoder().decode((await reader?.read())?.value);
  window.dispatchEvent(new Event("online"));
  const settled = vi.fn();
  reader?.read().then(settled, settled);
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(settled).not.toHaveBeenCalled();
  await reader?.cancel();
});

test("a refusal is the page's", async () => {
  const { fetch, asked } = serverOf(() => json({ error: { code: "thread_busy" } }, 409));
  const response = await resumableFetch({ fetch })(URL, message());
  expect(response.status).toBe(409);
  expect(await response.json()).toEqual({ error: { code: "thread_busy" } });
  expect(asked).toHaveLength(1);
});

test("a server that cannot be reached is told of soon; only messages are sent again", async () => {
  const message_ = serverOf();
  await expect(soon(resumableFetch({ fetch: message_.fetch })(URL, message()))).rejects.toThrow("network error");
  expect(message_.asked).toHaveLength(4);
  const action_ = serverOf();
  await expect(soon(resumableFetch({ fetch: action_.fetch })(URL, action()))).rejects.toThrow("network error");
  expect(action_.asked).toHaveLength(1);
});

test("an action that broke off before its first event is not repeated", async () => {
  const { fetch, asked } = cutting(EVENTS, [0]);
  expect(await textOf(resumableFetch({ fetch }), action())).toBe(ERROR);
  expect(asked).toHaveLength(1);
});

test("a server that stays away ends the stream with an error that can be retried", async () => {
  const { fetch, asked } = serverOf(({ type }) => (type === "threads.create" ? stream(numbered(EVENTS), { cut: 600 }) : null));
  const text = await textOf(resumableFetch({ fetch, attempts: 5 }), message());
  expect(text.endsWith(ERROR)).toBe(true);
  expect(plain(EVENTS).startsWith(text.slice(0, -ERROR.length))).toBe(true);
  expect(asked.filter(({ type }) => type === "turns.resume")).toHaveLength(5);
});

test.each([500, 503, 429])("the answer %d is tried again, and then given up", async (status) => {
  const { fetch, asked } = serverOf(({ type }) => (type === "threads.create" ? stream(numbered(EVENTS), { cut: 600 }) : json({}, status)));
  const text = await textOf(resumableFetch({ fetch, attempts: 3 }), message());
  expect(text.endsWith(ERROR)).toBe(true);
  expect(asked).toHaveLength(4);
});

test.each([400, 401, 403])("the answer %d is final", async (status) => {
  const { fetch, asked } = serverOf(({ type }) => (type === "threads.create" ? stream(numbered(EVENTS), { cut: 600 }) : json({}, status)));
  const text = await textOf(resumableFetch({ fetch }), message());
  expect(text.endsWith(ERROR)).toBe(true);
  expect(asked).toHaveLength(2);
});

test.each([404, 422])("of a turn that is gone (%d), the page gets what is stored, and an error", async (status) => {
  const kept = { type: "assistant_message", id: "msg_2", content: [{ type: "output_text", text: "Grü" }] };
  const { fetch, asked } = serverOf(({ type }) => {
    if (type === "threads.create") return stream(numbered(EVENTS), { cut: numbered(EVENTS.slice(0, 5)).length });
    if (type === "items.list") return json({ data: [kept, { type: "user_message", id: "msg_1", content: [] }, { type: "assistant_message", id: "msg_0" }], has_more: false });
    return json({ error: { code: "turn_not_found" } }, status);
  });
  const text = await textOf(resumableFetch({ fetch }), message());
  expect(text.endsWith(plain([{ type: "thread.item.done", item: kept }]) + ERROR)).toBe(true);
  expect(text).not.toContain("msg_0");
  expect(asked.map(({ type }) => type)).toEqual(["threads.create", "turns.resume", "items.list"]);
});

test("what a server that has just come back stores later is waited for", async () => {
  const kept = { type: "assistant_message", id: "msg_2", content: [{ type: "output_text", text: "Grü" }] };
  let looks = 0;
  const { fetch } = serverOf(({ type }) => {
    if (type === "threads.create") return stream(numbered(EVENTS), { cut: numbered(EVENTS.slice(0, 5)).length });
    if (type !== "items.list") return json({}, 404);
    looks += 1;
    return json({ data: [...(looks > 2 ? [kept] : []), { type: "user_message", id: "msg_1", content: [] }] });
  });
  const text = await textOf(resumableFetch({ fetch }), message());
  expect(text.endsWith(plain([{ type: "thread.item.done", item: kept }]) + ERROR)).toBe(true);
});

test("after a long time offline a turn that is gone may have ended well", async () => {
  const kept = { type: "assistant_message", id: "msg_2", content: [{ type: "output_text", text: "Grüße und mehr" }] };
  let isAway = true;
  const { fetch } = serverOf(({ type }) => {
    if (type === "threads.create") return stream(numbered(EVENTS), { cut: 600 });
    if (isAway) return null;
    if (type === "items.list") return json({ data: [kept, { type: "user_message", id: "msg_1" }] });
    return json({}, 404);
  });
  const online = vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  const response = await resumableFetch({ fetch })(URL, message());
  const text = response.text();
  await new Promise((resolve) => setImmediate(resolve));
  await vi.advanceTimersByTimeAsync(300_000);
  isAway = false;
  online.mockReturnValue(true);
  window.dispatchEvent(new Event("online"));
  const got = await soon(text);
  online.mockRestore();
  expect(got.endsWith(plain([{ type: "thread.item.done", item: kept }]))).toBe(true);
});

test("attempts count while the browser is online, and begin anew when something arrives", async () => {
  const often = cutting(EVENTS, Array<number>(8).fill(420));
  expect(await textOf(resumableFetch({ fetch: often.fetch, attempts: 1 }), message())).toBe(plain(EVENTS));
  expect(often.asked.length).toBeGreaterThan(2);

  let away = 3;
  const { fetch } = serverOf(({ type, params }) => {
    if (type === "threads.create") return stream(numbered(EVENTS), { cut: 900 });
    away -= 1;
    const from = Number(String(params["after"]).split(":")[1]);
    return away > 0 ? null : stream(numbered(EVENTS.slice(from), from + 1) + end());
  });
  const online = vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  let text: string | null = null;
  void resumableFetch({ fetch, attempts: 1 })(URL, message()).then(async (response) => (text = await response.text()));
  await until(() => {
    window.dispatchEvent(new Event("online"));
    return text !== null;
  });
  online.mockRestore();
  expect(text).toBe(plain(EVENTS));
});

test("a browser that stays offline gets an error in the end", async () => {
  const { fetch, asked } = serverOf(({ type }) => (type === "threads.create" ? stream(numbered(EVENTS), { cut: 600 }) : null));
  const online = vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  const text = await soon(resumableFetch({ fetch })(URL, message()).then((response) => response.text()), 60_000);
  online.mockRestore();
  expect(text.endsWith(ERROR)).toBe(true);
  expect(asked.length).toBeLessThan(4);
});

test("another turn's events are not taken for this one's", async () => {
  const foreign = numbered(EVENTS, 50).replaceAll("turn_1", "turn_2");
  const { fetch } = serverOf(({ type }) => {
    if (type === "threads.create") return stream(numbered(EVENTS), { cut: 600 });
    return type === "turns.resume" ? stream(foreign) : json({ data: [] });
  });
  const text = await textOf(resumableFetch({ fetch }), message());
  expect(text.endsWith(ERROR)).toBe(true);
  expect(plain(EVENTS).startsWith(text.slice(0, -ERROR.length))).toBe(true);
});

test("events that the server sends again are dropped", async () => {
  const { fetch } = serverOf(({ type }) => {
    if (type === "threads.create") return stream(numbered(EVENTS), { cut: 900 });
    return stream(numbered(EVENTS) + end());
  });
  expect(await textOf(resumableFetch({ fetch }), message())).toBe(plain(EVENTS));
});

test("a state in place of the events goes to the page once, though it breaks off within", async () => {
  const effect = { type: "client_effect", name: "open", data: {} };
  const item = { type: "assistant_message", id: "msg_3", content: [] };
  const added = { type: "thread.item.added", item };
  const state = `data: ${JSON.stringify(added)}\n\ndata: ${JSON.stringify(effect)}\n\nid: turn_1:50\ndata: {"type":"progress_update","text":"On it"}\n\n`;
  let asked = 0;
  const { fetch } = serverOf(({ type }) => {
    if (type === "threads.create") return stream(numbered(EVENTS.slice(0, 2)), { cut: numbered(EVENTS.slice(0, 2)).length - 1 });
    asked += 1;
    return asked === 1 ? stream(state, { cut: state.indexOf("id:") }) : stream(state + end());
  });
  const text = await textOf(resumableFetch({ fetch }), message());
  expect(text.split('"thread.item.added"')).toHaveLength(2);
  expect(text.split('"client_effect"')).toHaveLength(2);
  expect(text).toContain(plain([{ ...added, type: "thread.item.replaced" }]));
});

test.each(["failed", "interrupted"])("a turn that ended as %s has exactly one error", async (status) => {
  const told = [...EVENTS, { type: "error", code: "custom", message: "No", allow_retry: false }];
  const silent = serverOf(() => stream(numbered(EVENTS) + end(status)));
  expect(await textOf(resumableFetch({ fetch: silent.fetch }), message())).toBe(plain(EVENTS) + ERROR);
  const clear = serverOf(() => stream(numbered(told) + end(status)));
  expect(await textOf(resumableFetch({ fetch: clear.fetch }), message())).toBe(plain(told));
});

test("a connection that goes silent is given up for another one", async () => {
  let connections = 0;
  const { fetch, asked } = serverOf(({ params, init }) => {
    connections += 1;
    if (connections === 1) return stream(numbered(EVENTS.slice(0, 4)), { open: true, signal: init.signal ?? null });
    const from = Number(String(params["after"]).split(":")[1]);
    return stream(numbered(EVENTS.slice(from), from + 1) + end());
  });
  expect(await soon(resumableFetch({ fetch })(URL, message()).then((response) => response.text()), 10_000)).toBe(plain(EVENTS));
  expect(asked).toHaveLength(2);
});

const open = (): ReturnType<typeof serverOf> =>
  serverOf(({ type, init }) => (type === "threads.create" ? stream(numbered(EVENTS.slice(0, 4)), { open: true, signal: init.signal ?? null }) : json({ stopped: ["turn_1"] })));

test("an abort by the page stops the turn, and looks like any abort", async () => {
  const { fetch, asked } = open();
  const abort = new AbortController();
  const response = await resumableFetch({ fetch })(URL, { ...message(), signal: abort.signal });
  const reader = response.body?.getReader();
  await reader?.read();
  abort.abort();
  await expect((async () => { while (!(await reader?.read())?.done); })()).rejects.toMatchObject({ name: "AbortError" });
  await until(() => asked.length > 1);
  expect(asked).toHaveLength(2);
  expect(asked[1]).toMatchObject({ type: "turns.stop", params: { thread_id: "thr_1", turn_id: "turn_1" }, init: { keepalive: true, headers: message().headers } });
  expect(asked[0]?.init.signal?.aborted).toBe(true);
});

test("cancelling the body stops the turn", async () => {
  const { fetch, asked } = open();
  const response = await resumableFetch({ fetch })(URL, message());
  await response.body?.cancel();
  await until(() => asked.length > 1);
  expect(asked.map(({ type }) => type)).toEqual(["threads.create", "turns.stop"]);
});

test("an abort before the answer begins stops the turn when it is known", async () => {
  let begin: (response: Response) => void = () => undefined;
  const { fetch, asked } = serverOf(({ type }) => (type === "threads.create" ? new Promise<Response>((resolve) => { begin = resolve; }) : json({})));
  const abort = new AbortController();
  const pending = resumableFetch({ fetch })(URL, { ...message(), signal: abort.signal });
  const settled = expect(pending).rejects.toMatchObject({ name: "AbortError" });
  await until(() => asked.length > 0);
  abort.abort();
  await settled;
  begin(stream(numbered(EVENTS), { open: true }));
  await until(() => asked.length > 1);
  expect(asked[1]).toMatchObject({ type: "turns.stop", params: { thread_id: "thr_1", turn_id: "turn_1" } });
});

test("a stop that does not get through is tried again", async () => {
  let tries = 0;
  const { fetch, asked } = serverOf(({ type, init }) => {
    if (type === "threads.create") return stream(numbered(EVENTS.slice(0, 4)), { open: true, signal: init.signal ?? null });
    tries += 1;
    return tries < 3 ? null : json({});
  });
  const response = await resumableFetch({ fetch })(URL, message());
  await response.body?.cancel();
  await until(() => asked.length > 3);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.map(({ type }) => type)).toEqual(["threads.create", "turns.stop", "turns.stop", "turns.stop"]);
});

test("a page that goes away stops nothing", async () => {
  for (const order of ["before", "after"]) {
    const { fetch, asked } = open();
    const abort = new AbortController();
    const response = await resumableFetch({ fetch })(URL, { ...message(), signal: abort.signal });
    const text = expect(response.text()).rejects.toMatchObject({ name: "AbortError" });
    if (order === "before") window.dispatchEvent(new Event("pagehide"));
    abort.abort();
    if (order === "after") window.dispatchEvent(new Event("pagehide"));
    await text;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked.map(({ type }) => type), order).toEqual(["threads.create"]);
    window.dispatchEvent(new Event("pageshow"));
  }
});

test("an abort after the end stops nothing", async () => {
  const { fetch, asked } = cutting(EVENTS, []);
  const abort = new AbortController();
  await (await resumableFetch({ fetch })(URL, { ...message(), signal: abort.signal })).text();
  abort.abort();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(1);
});

test("a turn that runs when a thread is loaded is followed, and the page told", async () => {
  const { fetch, asked } = serverOf(({ type, params }) => {
    if (type === "threads.get_by_id") return json({ ...THREAD, active_turn: { id: "turn_1" } });
    const from = Number(String(params["after"]).split(":")[1]);
    return stream(numbered(EVENTS.slice(from), from + 1) + end(), from === 0 ? { cut: 500 } : {});
  });
  const updates: object[] = [];
  const wrapped = resumableFetch({ fetch, onUpdate: (update) => updates.push(update) });
  const load = { method: "POST", body: JSON.stringify({ type: "threads.get_by_id", params: { thread_id: "thr_1" } }) };
  expect(await (await wrapped(URL, load)).json()).toMatchObject({ id: "thr_1" });
  await (await wrapped(URL, load)).text();
  const [going, over] = [{ threadId: "thr_1", running: true }, { threadId: "thr_1", running: false }];
  await until(() => updates.length > 2);
  expect(updates).toEqual([going, going, over]);
  expect(asked.filter(({ type }) => type === "turns.resume").map(({ params }) => params["after"])).toEqual(["turn_1:0", expect.stringMatching(/^turn_1:[1-9]/)]);
});
