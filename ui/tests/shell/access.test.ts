// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { App } from "../../src/controllers/app";
import { failureOf, signInAddress, textOfFailure } from "../../src/controllers/failures";
import type { GetClientSecret } from "../../src/client/secrets";
import { ClientSecretError, errorOfAnswer, ServerError } from "../../src/protocol/errors";
import { english, format } from "../../src/strings";
import { type Asked, end, EVENTS, json, numbered, openStream, plain, serverOf, stream, THREAD } from "../resumable/server";

const MESSAGE = { content: [{ type: "input_text" as const, text: "hello" }], attachments: [], quotedText: null, inference: {} };

beforeEach(() => {
  sessionStorage.clear();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

const refused = (): Response => json({ error: { code: "expired_client_secret", message: "The client secret has expired." } }, 401);
const sent = ({ init }: Asked): string | undefined => (init.headers as Record<string, string>)["Authorization"]?.replace("Bearer ", "");

/** An element's state with a page and a server; `go` lets things happen until something holds. */
function setUp(getClientSecret: GetClientSecret, answer: (asked: Asked) => Response | null) {
  const { fetch, asked } = serverOf(answer);
  const events: [string, unknown][] = [];
  const app = new App(
    (name, ...detail) => {
      events.push([name, detail[0]]);
      return true;
    },
    () => undefined,
  );
  const api = (ask: GetClientSecret) => ({ getClientSecret: ask, url: "https://chat.example.com/chatkit", fetch });
  app.configure({ api: api(getClientSecret) });
  const until = async (isSo: () => boolean): Promise<void> => {
    for (let turn = 0; turn < 2000; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isSo()) return;
      if (turn % 20 === 19) await vi.advanceTimersByTimeAsync(500);
    }
    throw new Error("Nothing came of it.");
  };
  return { app, asked, events, until, api, kinds: () => asked.map(({ type }) => type) };
}

test("an answer that the page lost for want of a secret is followed again, and not begun again", async () => {
  let isGood = false;
  const { app, kinds, events, until } = setUp(
    async (current) => (current === null ? "s1" : isGood ? "s3" : "s2"),
    (request) => {
      if (request.type === "threads.create") return stream(numbered(EVENTS.slice(0, 5)));
      if (sent(request) !== "s3") return refused();
      if (request.type === "threads.get_by_id") return json({ ...THREAD, active_turn: { id: "turn_1" } });
      if (request.type === "items.list") return json({ data: [{ type: "user_message", id: "msg_1", content: [] }], has_more: false });
      return stream(numbered(EVENTS.slice(2), 3) + end());
    },
  );
  const { conversation } = app;
  await Promise.all([conversation.send(MESSAGE), until(() => conversation.state.failure !== null)]);
  expect([conversation.state.failure?.code, conversation.state.failure?.allowRetry, conversation.isBusy]).toEqual(["client_secret", true, false]);
  expect(events.filter(([name]) => name === "chatkit.error")).toHaveLength(1);

  // The server still refuses: it says so again, and the way on stays.
  await Promise.all([conversation.retry(), until(() => kinds().includes("threads.get_by_id") && conversation.state.failure !== null)]);
  expect(conversation.state.failure?.code).toBe("client_secret");

  isGood = true;
  await conversation.retry();
  await until(() => !conversation.isBusy && conversation.state.items.length === 2);
  expect(conversation.state.failure).toBeNull();
  expect(conversation.state.items.at(-1)).toMatchObject({ id: "msg_2", content: [{ text: "…" }] });
  expect(kinds().filter((type) => type.startsWith("threads.") && type !== "threads.get_by_id")).toEqual(["threads.create"]);
  expect(kinds().at(-1)).toBe("turns.resume");
});

test("a message for which there is no secret waits under its key", async () => {
  let isDown = true;
  const { app, asked, until } = setUp(
    async () => (isDown ? Promise.reject(new Error("down")) : "s1"),
    () => stream(numbered(EVENTS) + end()),
  );
  const { conversation } = app;
  await conversation.send({ ...MESSAGE, key: "k1" });
  expect(conversation.state.failure).toEqual({ message: null, code: "client_secret", allowRetry: true, isSignedOut: true });
  expect(asked).toEqual([]);
  isDown = false;
  await Promise.all([conversation.retry(), until(() => !conversation.isBusy)]);
  expect(conversation.state.failure).toBeNull();
  expect(asked.map(({ metadata }) => metadata?.["idempotency_key"])).toEqual(["k1"]);

  isDown = true;
  app.clear();
  await app.conversation.send(MESSAGE);
  app.conversation.dismissFailure();
  expect(app.composer.draft.text).toBe("hello");
});

test("other options bring other secrets, and load what could not be loaded", async () => {
  const { app, asked, until, api } = setUp(
    () => Promise.reject(new Error("down")),
    ({ type }) => (type === "threads.get_by_id" ? json(THREAD) : json({ data: [], has_more: false })),
  );
  await app.show("thr_1");
  expect(app.conversation.pages.loadError?.name).toBe("ClientSecretError");
  const mended = vi.fn(async () => "s1");
  app.configure({ api: api(mended) });
  await until(() => app.conversation.pages.loaded);
  expect(asked.map(sent)).toEqual(["s1", "s1"]);

  // The same function, in another object.
  app.configure({ api: api(mended), theme: "dark" });
  await app.reload();
  app.configure({ api: api(async () => "s2") });
  await app.reload();
  expect(asked.map(sent)).toEqual(["s1", "s1", "s1", "s1", "s2", "s2"]);
  expect(mended.mock.calls).toEqual([[null]]);
});

test("a secret goes with its user", async () => {
  const ask = vi.fn(async (current: string | null) => `after ${current}`.replaceAll(" ", "-"));
  const { app, asked } = setUp(ask, () => json({ data: [], has_more: false }));
  await app.history.load();
  app.clear();
  await app.history.load();
  expect(ask.mock.calls).toEqual([[null], [null]]);
  expect(asked.map(sent)).toEqual(["after-null", "after-null"]);
});

test("429 says when it may go on", async () => {
  vi.setSystemTime(new Date(2026, 0, 2, 14, 5, 0));
  const host = { translate: (key: string, args?: Record<string, string | number>) => format(english(), key, args), locale: "de-DE" };
  const said = async (retryAfter: string | null, message = "") => {
    const headers = retryAfter === null ? new Headers() : { "Retry-After": retryAfter };
    return textOfFailure(failureOf(await errorOfAnswer(Response.json({ error: { code: "rate_limited", message } }, { status: 429, headers }))), host);
  };
  expect(await said("30", "Ten a minute.")).toBe("Too many requests. You can go on at 14:05:30.");
  expect(await said(new Date(2026, 0, 3, 9, 0, 0).toUTCString())).toBe("Too many requests. You can go on at 03.01.26, 09:00:00.");
  expect(await said(null, "Ten a minute.")).toBe("Ten a minute.");
  for (const nothing of [null, "soon", "0"]) expect(await said(nothing)).toBe("Too many requests. Wait a moment and try again.");
});

test("a quota that is used up is told with what it allows", async () => {
  vi.setSystemTime(new Date(2026, 0, 2, 14, 5, 0));
  const host = { translate: (key: string, args?: Record<string, string | number>) => format(english(), key, args), locale: "de-DE" };
  const said = async (message: string, headers: Record<string, string> = {}) =>
    textOfFailure(failureOf(await errorOfAnswer(Response.json({ error: { code: "quota_exceeded", message } }, { status: 429, headers }))), host);
  const used = "You may send 20 messages in a minute. Try again in 40 seconds.";
  expect(await said(used, { "Retry-After": "40" })).toBe("Too many requests. You can go on at 14:05:40. You may send 20 messages in a minute.");
  const large = "You may attach 1,000 bytes of files in a day, and this is more.";
  expect(await said(large)).toBe(large);
});

test("an error of the server is told with the id that its log has", async () => {
  const host = { translate: (key: string, args?: Record<string, string | number>) => format(english(), key, args), locale: "en" };
  const said = async (status: number, id: string) =>
    textOfFailure(failureOf(await errorOfAnswer(Response.json({ error: { code: "x", message: "No." } }, { status, headers: { "X-Request-Id": id } }))), host);
  expect(await said(500, "req_1")).toBe("No. (req_1)");
  expect(await said(503, "two words")).toBe("No.");
  expect(await said(422, "req_1")).toBe("No.");
});

test("a turn is asked for again when the server wants it", async () => {
  let count = 0;
  const times: number[] = [];
  const { app, until } = setUp(
    async () => "s1",
    ({ type, params }) => {
      if (type === "threads.create") return stream(numbered(EVENTS.slice(0, 3)));
      times.push(Date.now());
      count += 1;
      if (count === 1) return new Response("{}", { status: 429, headers: { "Retry-After": "40" } });
      const from = Number(String(params["after"]).split(":")[1]);
      return stream(numbered(EVENTS.slice(from), from + 1) + end());
    },
  );
  const { conversation } = app;
  await Promise.all([conversation.send(MESSAGE), until(() => !conversation.isBusy && conversation.state.items.length > 0)]);
  expect(conversation.state.failure).toBeNull();
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(40_000);
  expect(times).toHaveLength(2);
});

test("a sign-in leads back to the page, and is offered where it mends what failed", () => {
  const page = { origin: "https://shop.example.com", pathname: "/chat/", search: "?thread=thr_1", hash: "", href: "https://shop.example.com/chat/?thread=thr_1" } as Location;
  const of = (status: number, code = "unauthenticated") => failureOf(new ServerError("Sign in first.", status, code));
  const address = (signInUrl: string | undefined, failure = of(401)) => signInAddress(failure, signInUrl, page);
  document.head.innerHTML = '<base href="https://shop.example.com/chat/">';
  expect(address("/sign-in")).toBe("/sign-in?next=%2Fchat%2F%3Fthread%3Dthr_1");
  expect(address("/sign-in?kind=staff")).toBe("/sign-in?kind=staff&next=%2Fchat%2F%3Fthread%3Dthr_1");
  expect(address("/oauth2/start?rd={page}")).toBe("/oauth2/start?rd=%2Fchat%2F%3Fthread%3Dthr_1");
  expect(address("https://login.example.com/in")).toBe(`https://login.example.com/in?next=${encodeURIComponent(page.href)}`);
  expect(address("javascript:alert(1)")).toBeUndefined();
  expect(address("https://")).toBeUndefined();
  expect(address(undefined)).toBeUndefined();
  expect(address("/sign-in", of(403))).toBeUndefined();
  expect(address("/sign-in", of(500))).toBeUndefined();
  expect(address("/sign-in", failureOf(new ClientSecretError("no", { cause: new Error("HTTP 401") })))).toBeDefined();
  expect(address("/sign-in", failureOf(new ClientSecretError("no", { cause: new TypeError("no connection") })))).toBeUndefined();
  document.head.innerHTML = "";
});

test("a title that is made after the answer comes by its stream, and nobody asks for it", async () => {
  const told = openStream(numbered(EVENTS) + end("completed", { awaits_title: true }));
  const { app, asked, until } = setUp(async () => "s1", ({ type }) => (type === "threads.create" ? told.response : null));
  const { conversation } = app;
  await Promise.all([conversation.send(MESSAGE), until(() => !conversation.isBusy && conversation.state.items.length === 2)]);
  expect(conversation.state.thread?.title ?? null).toBeNull();
  told.send(plain([{ type: "thread.updated", thread: { ...THREAD, title: "Tea" } }]));
  await until(() => conversation.state.thread?.title === "Tea");
  expect(app.history.threads.map(({ title }) => title)).toEqual(["Tea"]);
  expect([told.isCancelled(), asked.map(({ type }) => type)]).toEqual([true, ["threads.create"]]);
});
