import { describe, expect, test } from "vitest";
import { resultOf } from "../../src/controllers/tools";

const cyclic: Record<string, unknown> = {};
cyclic["self"] = cyclic;
const { signal } = new AbortController();

async function answer(value: unknown): Promise<{ result: unknown; errors: string[] }> {
  const errors: string[] = [];
  const result = await resultOf(Promise.resolve(value), signal, (error) => errors.push(error.message));
  return { result: result?.value, errors };
}

describe("what a tool of the page returns", () => {
  test.each([
    ["something that holds itself", cyclic],
    ["a large number", { count: 1n }],
    ["something that throws", { toJSON: () => { throw new Error("no"); } }],
    ["something cyclic inside", { rows: [1, { deep: cyclic }] }],
  ])("%s becomes the tool's error", async (_, value) => {
    const { result, errors } = await answer(value);
    expect(result).toEqual({ error: expect.stringContaining("cannot be sent as JSON") });
    expect(errors).toHaveLength(1);
    expect(() => JSON.stringify(result)).not.toThrow();
  });
  test.each([
    ["nothing", undefined, {}],
    ["null", null, {}],
    ["a function", () => 1, {}],
    ["a date", new Date(0), "1970-01-01T00:00:00.000Z"],
    ["a map", { found: new Map([[1, 2]]) }, { found: {} }],
    ["a value", { a: [1, "b", null] }, { a: [1, "b", null] }],
  ])("%s is sent as JSON has it", async (_, value, expected) => {
    expect(await answer(value)).toEqual({ result: expected, errors: [] });
  });
  test("what it throws is told", async () => {
    const result = await resultOf(Promise.reject(new Error("no camera")), signal, () => undefined);
    expect(result).toEqual({ value: { error: "no camera" } });
  });
});
