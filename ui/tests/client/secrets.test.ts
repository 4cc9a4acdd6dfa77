import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ProtocolClient } from "../../src/client/client";
import { type ApiOption, type Endpoint, endpointOf } from "../../src/client/endpoint";
import { ClientSecrets, expiryOf, type GetClientSecret } from "../../src/client/secrets";
import { ClientSecretError, ServerError } from "../../src/protocol/errors";
import type { UserMessageInput } from "../../src/protocol/wire";
import { type Asked, end, EVENTS, json, numbered, serverOf, stream } from "../resumable/server";

const INPUT: UserMessageInput = { content: [], attachments: [], inference_options: {} };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A secret of the server's form, which is good for so many seconds. */
function secret(name: string, seconds = 600): string {
  const payload = btoa(JSON.stringify({ name, exp: Math.floor(Date.now() / 1000) + seconds }));
  return `eyJhbGciOiJIUzI1NiJ9.${payload.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}.c2lnbmF0dXJl`;
}

const refused = (code = "expired_client_secret"): Response => json({ error: { type: "invalid_request_error", code, message: "No." } }, 401);
const sent = ({ init }: Asked): string | undefined => (init.headers as Record<string, string>)["Authorization"]?.replace("Bearer ", "");

/** A client, and what its page and its server were asked. `getClientSecret` gives what is returned here. */
function setUp(getClientSecret: GetClientSecret, answer: (asked: Asked) => Response | Promise<Response> = () => json({ data: [] })) {
  const given = vi.fn(getClientSecret);
  const { fetch, asked } = serverOf(answer);
  const endpoint: Endpoint = { url: "https://chat.example.com/chatkit", fetch, secrets: new ClientSecrets(given) };
  const client = new ProtocolClient(() => endpoint);
  const list = (signal?: AbortSignal): Promise<unknown> => client.call("threads.list", { limit: 1 }, signal);
  return { client, list, given, asked, secretsSent: () => asked.map(sent) };
}

/** Lets everything happen that needs no timer. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe("when a secret expires", () => {
  test("is read from the server's form", () => {
    vi.setSystemTime(1_000_000);
    expect(expiryOf(secret("a", 600))).toBe(1_600_000);
    expect(expiryOf("ckcs-cksess_1a.1767225600.c2lnbmF0dXJl-_")).toBe(1_767_225_600_000);
    const umlauts = btoa(String.fromCharCode(...new TextEncoder().encode('{"user":"Zoë ÿÿÿ>>>???","exp":7}')));
    expect(expiryOf(`eyJhbGciOiJIUzI1NiJ9.${umlauts.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}.x`)).toBe(7000);
  });
  test.each(["", "abc", "eyJhbGciOiJIUzI1NiJ9.", "eyJhbGciOiJIUzI1NiJ9.abc", "ckcs-a.b.c", "ckcs-a.7", "eyJhbGciOiJIUzI1NiJ9.!!.x", `eyJhbGciOiJIUzI1NiJ9.${btoa("null")}.x`, `eyJhbGciOiJIUzI1NiJ9.${btoa('{"exp":"7"}')}.x`, `ek_${btoa('{"exp":7}')}.x`])("is not known of %j", (text) => {
    expect(expiryOf(text)).toBeNull();
  });
});

describe("a secret", () => {
  test("is asked for when the first request needs it, once for all that wait", async () => {
    const { list, given, secretsSent } = setUp(async () => "s1");
    expect(given).not.toHaveBeenCalled();
    await Promise.all([list(), list(), list()]);
    await list();
    expect(given.mock.calls).toEqual([[null]]);
    expect(secretsSent()).toEqual(["s1", "s1", "s1", "s1"]);
  });

  test("is renewed when a minute is left, and nothing waits for that", async () => {
    const [first, second] = [secret("a"), secret("b", 1200)];
    let renew: (value: string) => void = () => undefined;
    const { list, given, secretsSent } = setUp((current) => (current === null ? Promise.resolve(first) : new Promise((resolve) => (renew = resolve))));
    await list();
    vi.setSystemTime(Date.now() + 539_000);
    await list();
    expect(given).toHaveBeenCalledTimes(1);
    vi.setSystemTime(Date.now() + 2000);
    await Promise.all([list(), list()]);
    expect(given.mock.calls).toEqual([[null], [first]]);
    renew(second);
    await settle();
    await list();
    expect(secretsSent()).toEqual([first, first, first, first, second]);
  });

  test("that was not renewed in time is waited for, and asked for again where an early renewal failed", async () => {
    const [first, second] = [secret("a"), secret("b", 1200)];
    const answers = [() => Promise.resolve(first), () => Promise.reject(new Error("down")), () => Promise.resolve(second)];
    const { list, given, secretsSent } = setUp(() => (answers.shift() as () => Promise<string>)());
    await list();
    vi.setSystemTime(Date.now() + 590_000);
    await list();
    await settle();
    vi.setSystemTime(Date.now() + 11_000);
    await list();
    expect(given.mock.calls).toEqual([[null], [first], [first]]);
    expect(secretsSent()).toEqual([first, first, second]);
  });

  test("of a short life is renewed when half of it is left", async () => {
    const first = secret("a", 20);
    const { list, given } = setUp(async () => first);
    await list();
    vi.setSystemTime(Date.now() + 9000);
    await list();
    expect(given).toHaveBeenCalledTimes(1);
    vi.setSystemTime(Date.now() + 2000);
    await list();
    expect(given).toHaveBeenCalledTimes(2);
  });

  test("that is over by this clock when it comes is good until the server refuses it", async () => {
    const [first, second] = [secret("a", -3600), secret("b", -3600)];
    let isOver = false;
    const { list, given, secretsSent } = setUp(
      async (current) => (current === null ? first : second),
      (asked) => (isOver && sent(asked) === first ? refused() : json({})),
    );
    for (let count = 0; count < 3; count += 1) await list();
    expect(given).toHaveBeenCalledTimes(1);
    isOver = true;
    await list();
    expect(given.mock.calls).toEqual([[null], [first]]);
    expect(secretsSent()).toEqual([first, first, first, first, second]);
  });
});

describe("a secret that the server refuses", () => {
  test("is renewed once, and the same request sent again", async () => {
    const { client, given, asked, secretsSent } = setUp(
      async (current) => (current === null ? "s1" : "s2"),
      (request) => (sent(request) === "s1" ? refused("invalid_client_secret") : stream(numbered(EVENTS) + end())),
    );
    const events: unknown[] = [];
    const { signal } = new AbortController();
    for await (const part of client.stream("threads.create", { input: INPUT }, { signal, threadId: null, idempotencyKey: "k1" })) if ("event" in part) events.push(part.event);
    expect(events).toEqual(EVENTS);
    expect(given.mock.calls).toEqual([[null], ["s1"]]);
    expect(secretsSent()).toEqual(["s1", "s2"]);
    expect(asked.map(({ metadata }) => metadata)).toEqual([{ resumable: true, idempotency_key: "k1" }, { resumable: true, idempotency_key: "k1" }]);
  });

  test("is renewed once for all that it was refused to, also after another request has brought the next one", async () => {
    const gates: (() => void)[] = [];
    const { list, given, secretsSent } = setUp(
      async (current) => (current === null ? "s1" : "s2"),
      async (request) => {
        if (sent(request) !== "s1") return json({});
        await new Promise<void>((resolve) => gates.push(resolve));
        return refused();
      },
    );
    const lists = Promise.all([list(), list(), list()]);
    await settle();
    gates[0]?.();
    gates[1]?.();
    await settle();
    gates[2]?.();
    await lists;
    expect(given.mock.calls).toEqual([[null], ["s1"]]);
    expect(secretsSent()).toEqual(["s1", "s1", "s1", "s2", "s2", "s2"]);
  });

  test("twice is an error, until the next request", async () => {
    let count = 0;
    let isRefused = true;
    const { list, given, asked } = setUp(
      async () => `s${(count += 1)}`,
      () => (isRefused ? refused("invalid_client_secret") : json({})),
    );
    await expect(list()).rejects.toMatchObject({ status: 401, code: "invalid_client_secret" });
    expect([given.mock.calls.length, asked.length]).toEqual([2, 2]);
    isRefused = false;
    await list();
    expect(given).toHaveBeenCalledTimes(2);
  });

  test("and that the page gives again is not sent again", async () => {
    const { list, given, asked } = setUp(async () => "s1", () => refused());
    await expect(list()).rejects.toBeInstanceOf(ServerError);
    expect([given.mock.calls.length, asked.length]).toEqual([2, 1]);
  });
});

describe("a page that gives no secret", () => {
  test.each<[string, () => unknown, RegExp]>([
    ["rejects", () => Promise.reject(new Error("The backend is down.")), /getClientSecret failed: The backend is down\./],
    [
      "throws",
      () => {
        throw new Error("thrown");
      },
      /thrown/,
    ],
    ["returns an object", async () => ({ client_secret: "s" }), /has to return the client secret itself/],
    ["returns nothing", () => undefined, /has to return/],
    ["returns an empty text", async () => "", /has to return/],
    ["returns two lines", async () => "a\nb", /has to return/],
  ])("as it %s", async (_, give, message) => {
    let isMended = false;
    const { list, asked } = setUp((() => (isMended ? Promise.resolve("s1") : give())) as GetClientSecret);
    const failure = await list().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ClientSecretError);
    expect((failure as Error).message).toMatch(message);
    expect(asked).toEqual([]);
    isMended = true;
    await list();
    expect(asked.map(sent)).toEqual(["s1"]);
  });

  test("in time is given up, and one that comes late is good for the next request", async () => {
    let give: (value: string) => void = () => undefined;
    const { list, given, secretsSent } = setUp(() => new Promise((resolve) => (give = resolve)));
    const failure = list().catch((error: unknown) => error);
    await settle();
    await vi.advanceTimersByTimeAsync(29_000);
    expect(given).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect(await failure).toMatchObject({ name: "ClientSecretError", message: "getClientSecret failed: nothing came within 30 s" });
    give("late");
    await settle();
    await list();
    expect([given.mock.calls, secretsSent()]).toEqual([[[null]], ["late"]]);
  });

  test("need not be waited for", async () => {
    const { list } = setUp(() => new Promise(() => undefined));
    const abort = new AbortController();
    const waiting = list(abort.signal).catch((error: unknown) => error);
    await settle();
    abort.abort();
    expect(await waiting).toMatchObject({ name: "AbortError" });
  });
});

describe("in the middle of an answer", () => {
  /** Reads an answer whose first connection breaks after three events. */
  async function read(getClientSecret: GetClientSecret, isGood: (secret: string | undefined) => boolean) {
    const found = setUp(getClientSecret, (request) => {
      if (request.type === "threads.create") return stream(numbered(EVENTS.slice(0, 3)));
      if (!isGood(sent(request))) return refused();
      const from = Number(String(request.params["after"]).split(":")[1]);
      return stream(numbered(EVENTS.slice(from), from + 1) + end());
    });
    const events: unknown[] = [];
    let failure: unknown = null;
    const { signal } = new AbortController();
    const reading = (async () => {
      for await (const part of found.client.stream("threads.create", { input: INPUT }, { signal, threadId: null, idempotencyKey: "k1" })) if ("event" in part) events.push(part.event);
    })().catch((error: unknown) => {
      failure = error;
    });
    let isOver = false;
    void reading.then(() => {
      isOver = true;
    });
    for (let turn = 0; turn < 400 && !isOver; turn += 1) {
      await settle();
      await vi.advanceTimersByTimeAsync(1000);
    }
    await reading;
    return { ...found, events, failure };
  }

  test("another secret goes on where the one before was refused", async () => {
    const got = await read(async (current) => (current === null ? "s1" : "s2"), (value) => value === "s2");
    expect([got.events, got.failure]).toEqual([EVENTS, null]);
    expect(got.secretsSent()).toEqual(["s1", "s1", "s2"]);
    expect(got.asked.slice(1).map(({ type, params }) => [type, params["after"]])).toEqual([
      ["turns.resume", "turn_1:3"],
      ["turns.resume", "turn_1:3"],
    ]);
  });

  test("a refusal is told as what it is", async () => {
    const got = await read(async (current) => (current === null ? "s1" : "s2"), () => false);
    expect(got.events).toEqual(EVENTS.slice(0, 3));
    expect(got.failure).toMatchObject({ name: "ServerError", code: "expired_client_secret" });
    expect(got.given).toHaveBeenCalledTimes(2);
  });

  test("a page that refuses is asked once, one without a connection as often as a server", async () => {
    const refuses = await read(async (current) => (current === null ? "s1" : Promise.reject(new Error("signed out"))), () => false);
    expect(refuses.failure).toBeInstanceOf(ClientSecretError);
    expect(refuses.given).toHaveBeenCalledTimes(2);
    let failures = 0;
    const returns = await read(
      async (current) => {
        if (current === null) return "s1";
        failures += 1;
        return failures < 4 ? Promise.reject(new TypeError("Failed to fetch")) : "s2";
      },
      (value) => value === "s2",
    );
    expect([returns.events, returns.failure, failures]).toEqual([EVENTS, null, 4]);
    const stays = await read(async (current) => (current === null ? "s1" : Promise.reject(new TypeError("Failed to fetch"))), () => false);
    expect(stays.failure).toBeInstanceOf(ClientSecretError);
    expect(stays.given).toHaveBeenCalledTimes(7);
  });
});

describe("the option api", () => {
  const ask: GetClientSecret = async () => "s";

  test("keeps its secrets as long as function and address are the same", () => {
    const first = endpointOf({ getClientSecret: ask });
    expect(first.url).toBe(`${new URL(import.meta.url).origin}/chatkit`);
    expect(first.secrets).toBeInstanceOf(ClientSecrets);
    expect(endpointOf({ getClientSecret: ask }, first).secrets).toBe(first.secrets);
    const others: ApiOption[] = [{ getClientSecret: ask, url: "/other" }, { getClientSecret: async () => "t" }, { url: first.url }];
    for (const api of others) expect(endpointOf(api, first).secrets).not.toBe(first.secrets);
  });
  test("without a function sends no secret", () => {
    expect(endpointOf({ url: "/chatkit", domainKey: "d" })).toEqual({ url: "/chatkit" });
  });
  test("takes address, fetch and uploads beside the function", async () => {
    const { fetch, asked } = serverOf(() => json({ data: [] }));
    const endpoint = endpointOf({ getClientSecret: ask, url: "https://chat.example.com/chat", fetch });
    await new ProtocolClient(() => endpoint).call("threads.list", {});
    expect([endpoint.url, asked.map(sent)]).toEqual(["https://chat.example.com/chat", ["s"]]);
  });
});
