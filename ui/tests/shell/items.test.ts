import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Item, ItemUpdate } from "../../src/protocol/wire";
import { reduceItem, UnfitUpdate } from "../../src/state/items";

interface Case {
  name: string;
  item: Item;
  updates: ItemUpdate[];
  result?: Item;
  refused?: boolean;
}

// The same cases as tests/test_reduce_fixtures.py has.
const folder = join(import.meta.dirname, "../../../tests/fixtures/reduce");

function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}

describe.each(readdirSync(folder))("%s", (file) => {
  const cases = JSON.parse(readFileSync(join(folder, file), "utf8")) as Case[];
  test.each(cases)("$name", ({ item, updates, result, refused }) => {
    const reduced = (): Item => frozen(updates).reduce(reduceItem, frozen(item));
    if (refused) expect(reduced).toThrow(UnfitUpdate);
    else expect(reduced()).toEqual(result);
  });
});

test("what an update does not touch stays the same object", () => {
  const text = { type: "Text", id: "a", value: "" };
  const still = { type: "Row", children: [{ type: "Text", value: "x" }] };
  const item: Item = { type: "widget", id: "w", thread_id: "t", created_at: "", widget: { type: "Card", children: [still, text] } };
  const next = reduceItem(item, { type: "widget.streaming_text.value_delta", component_id: "a", delta: "b", done: false });
  expect(next.type === "widget" && Array.isArray(next.widget.children) && next.widget.children[0]).toBe(still);
});
