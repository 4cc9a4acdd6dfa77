import { expect, test } from "vitest";
import type { Item, ThreadEvent, UserMessageItem } from "../../src/protocol/wire";
import { addOptimistic, caughtUp, EMPTY, lastUserMessage, prepend, pruneAfter, reduce, settled, type ThreadState, without } from "../../src/state/thread";
import { TurnGrouping } from "../../src/state/turns";
import { spent } from "../spent";

const at = "2026-11-23T10:00:00Z";
const user = (id: string, text = "hi"): UserMessageItem => ({ type: "user_message", id, thread_id: "t", created_at: at, content: [{ type: "input_text", text }] });
const answer = (id: string, text = ""): Item => ({ type: "assistant_message", id, thread_id: "t", created_at: at, content: text ? [{ type: "output_text", text, annotations: [] }] : [] });
const delta = (id: string, text: string): ThreadEvent => ({ type: "thread.item.updated", item_id: id, update: { type: "assistant_message.content_part.text_delta", content_index: 0, delta: text } });
const run = (events: ThreadEvent[], from: ThreadState = EMPTY): ThreadState => events.reduce(reduce, from);
const ids = (state: ThreadState): string[] => state.items.map((item) => item.id);

test("the server's message takes the place of the bubble, and its key", () => {
  const shown = addOptimistic({ ...EMPTY, items: [user("old"), answer("a")] }, user("local"));
  const state = reduce(shown, { type: "thread.item.done", item: user("msg_2") });
  expect(ids(state)).toEqual(["old", "a", "msg_2"]);
  expect(state.optimisticId).toBeNull();
  expect(state.aliases.get("msg_2")).toBe("local");
});

test("an item is pending from its beginning to its end", () => {
  const begun = run([{ type: "thread.item.added", item: answer("a") }, delta("a", "x")]);
  expect([...begun.pending]).toEqual(["a"]);
  const done = reduce(begun, { type: "thread.item.done", item: answer("a", "xy") });
  expect(done.pending.size).toBe(0);
  expect(done.items).toEqual([answer("a", "xy")]);
});

test("an item that the store gave another id stays one item, in its place", () => {
  const begun = run([{ type: "thread.item.added", item: answer("X") }, delta("X", "Hi"), { type: "thread.item.done", item: answer("b", "later") }]);
  const state = reduce(begun, { type: "thread.item.done", item: answer("ROW1", "Hi"), added_id: "X" });
  expect(ids(state)).toEqual(["ROW1", "b"]);
  expect(state.pending.size).toBe(0);
  expect(ids(reduce(state, { type: "thread.item.replaced", item: answer("ROW2", "Ho"), added_id: "ROW1" }))).toEqual(["ROW2", "b"]);
  expect(ids(reduce(EMPTY, { type: "thread.item.done", item: answer("ROW1", "Hi"), added_id: "X" }))).toEqual(["ROW1"]);
});

test("an update that does not fit, or of an unknown item, changes nothing", () => {
  const state = run([{ type: "thread.item.added", item: answer("a") }]);
  expect(reduce(state, { type: "thread.item.updated", item_id: "a", update: { type: "workflow.task.added", task_index: 0, task: { type: "custom" } } })).toBe(state);
  expect(reduce(state, delta("b", "x"))).toBe(state);
});

test("an unknown event changes nothing", () => {
  expect(reduce(EMPTY, { type: "thread.item.sparkled" } as unknown as ThreadEvent)).toBe(EMPTY);
});

test("a replaced item that a resumed stream brings is put at the end", () => {
  expect(ids(run([{ type: "thread.item.replaced", item: answer("a", "x") }], { ...EMPTY, items: [user("u")] }))).toEqual(["u", "a"]);
});

test("a retry prunes what came after the message", () => {
  const state = { ...EMPTY, items: [user("u"), answer("a"), user("v"), answer("b")], failure: { message: "x", code: "c", allowRetry: true } };
  const pruned = pruneAfter(state, "u");
  expect(ids(pruned)).toEqual(["u"]);
  expect(pruned.failure).toBeNull();
  expect(pruneAfter(state, "unknown")).toBe(state);
});

test("older items go before those that are there, none twice", () => {
  const state = prepend({ ...EMPTY, items: [user("c"), answer("d")] }, [user("a"), answer("b"), user("c")]);
  expect(ids(state)).toEqual(["a", "b", "c", "d"]);
});

test("a removed item is gone, and no longer awaited", () => {
  const state = run([{ type: "thread.item.added", item: answer("a") }, { type: "thread.item.removed", item_id: "a" }]);
  expect(state.items).toEqual([]);
  expect(state.pending.size).toBe(0);
});

test("the next item ends the progress line, and so does the end of the turn", () => {
  const told = run([{ type: "progress_update", text: "Looking" }]);
  expect(told.progress?.text).toBe("Looking");
  expect(reduce(told, { type: "thread.item.added", item: answer("a") }).progress).toBeNull();
  expect(settled(told).progress).toBeNull();
});

test("what was begun and never done can be taken away", () => {
  const state = run([
    { type: "thread.item.done", item: answer("a") },
    { type: "thread.item.added", item: answer("b") },
  ]);
  const left = without(state, new Set(["b"]));
  expect(ids(left)).toEqual(["a"]);
  expect(left.pending.size).toBe(0);
  expect(without(state, new Set())).toBe(state);
});

test("a lost connection is over where the answer has come through after all", () => {
  const cut = { ...EMPTY, items: [user("u"), answer("a", "Half")], failure: { message: null, code: "interrupted", allowRetry: true } };
  expect(caughtUp(cut, cut).failure).toBe(cut.failure);
  const whole = { ...cut, items: [user("u"), answer("a", "Half and whole")] };
  expect(caughtUp(cut, whole).failure).toBeNull();
  expect(caughtUp(cut, { ...cut, items: [...cut.items, answer("b", "More")] }).failure).toBeNull();
  const told = { ...cut, failure: { message: "No", code: "custom", allowRetry: false } };
  expect(caughtUp(told, { ...whole, failure: told.failure }).failure).toBe(told.failure);
});

test("the workflow that waits for a tool stays", () => {
  const open: Item = { type: "workflow", id: "w", thread_id: "t", created_at: at, workflow: { type: "custom", tasks: [] } };
  const call: Item = { type: "client_tool_call", id: "c", thread_id: "t", created_at: at, status: "pending", call_id: "c", name: "f", arguments: {} };
  const waiting = run([
    { type: "thread.item.added", item: { ...open, id: "ghost" } },
    { type: "thread.item.added", item: open },
    { type: "thread.item.added", item: answer("b") },
    { type: "thread.item.done", item: call },
  ]);
  expect(ids(without(waiting, new Set(["ghost", "w", "b"])))).toEqual(["w", "c"]);
});

test("an error says whether it can be retried", () => {
  expect(run([{ type: "error", code: "stream.error", allow_retry: true }]).failure).toEqual({ message: null, code: "stream.error", allowRetry: true });
  expect(run([{ type: "error", code: "custom", message: "No" }]).failure?.allowRetry).toBe(false);
});

test("turns begin with what the user says, and unchanged ones stay the same object", () => {
  const grouping = new TurnGrouping();
  const items = [answer("0"), user("u"), answer("a"), user("v")];
  const first = grouping.group(items, new Map([["v", "local"]]));
  expect(first.map((group) => group.key)).toEqual(["from 0", "u", "local"]);
  const second = grouping.group([...items, answer("b")], new Map([["v", "local"]]));
  expect(second[1]).toBe(first[1]);
  expect(second[2]).not.toBe(first[2]);
});

test("the last user message is what a retry begins with", () => {
  expect(lastUserMessage([user("u"), answer("a"), user("v"), answer("b")])?.id).toBe("v");
  expect(lastUserMessage([answer("a")])).toBeNull();
});

test("a delta costs the same at the end of a long answer", () => {
  const cost = (length: number): number => {
    let state = run([{ type: "thread.item.added", item: answer("a", "x".repeat(length)) }]);
    return spent(() => {
      for (let index = 0; index < 2000; index += 1) state = reduce(state, delta("a", "word "));
    });
  };
  cost(20_000);
  // Side by side, so that a machine that is busy for a while is so for both.
  const rounds = Array.from({ length: 9 }, () => [cost(20_000), cost(400_000)] as const);
  const [short, long] = [0, 1].map((place) => Math.min(...rounds.map((round) => round[place as 0 | 1])));
  // Twenty times as long.
  expect(long!).toBeLessThan(short! * 4 + 5);
});
