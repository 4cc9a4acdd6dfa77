/** Widgets as no one should make them: each is shown, at a cost that is bounded. */

import { afterEach, describe, expect, it } from "vitest";

import { nestValues } from "../../src/widgets/actions";
import { checkPattern, patternReach } from "../../src/widgets/forms";
import type { CkSelect } from "../../src/widgets/select";
import { type CkWidget } from "../../src/widgets";
import { spent } from "../spent";
import { quietHost } from "../xssViews";

afterEach(() => {
  document.body.replaceChildren();
});

async function show(widget: unknown): Promise<{ view: CkWidget; root: ShadowRoot; logged: string[] }> {
  const logged: string[] = [];
  const view = document.createElement("ck-widget");
  Object.assign(view, { host: { ...quietHost, onLog: (name: string) => logged.push(name) }, widget });
  document.body.append(view);
  for (let count = 0; count < 30; count += 1) {
    await view.updateComplete;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return { view, root: view.shadowRoot!, logged };
}

const many = <Value>(count: number, make: (place: number) => Value): Value[] => Array.from({ length: count }, (_, place) => make(place));

describe("patterns", () => {
  const HOSTILE = ["(a+)+$", "(a|aa)+", "([a-z]*)*x", "(.*)(.*)(.*)(.*)(.*)(.*)x", "(a?){500}a{500}", "^(([a-z])+.)+[A-Z]([a-z])+$", "(\\w+\\s?)*$", "((a{1,9}){1,9}){1,9}b", "a*a*a*a*a*a*b", "(?=(a+))\\1+b", "(x+x+)+y", "(?:a+){2,}b", ".*.*.*.*=.*"];

  it.each(HOSTILE)("%s holds up nobody", (pattern) => {
    const field = document.createElement("input");
    for (const value of ["a".repeat(28), "a".repeat(5_000), "x".repeat(400), `${"ab ".repeat(1_000)}!`]) {
      field.value = value;
      expect(spent(() => checkPattern(field, pattern, "no"))).toBeLessThan(1_000);
    }
  });

  it.each([["[a-z]+", "abc", true], ["[a-z]+", "ab1", false], ["\\d{4}-\\d{2}", "2026-11", true], ["\\d{4}-\\d{2}", "2026-1", false], ["(red|green)", "green", true], ["(red|green)", "greens", false], ["[^@]+@[^@]+\\.[a-z]{2,}", "a@b.cd", true], ["[^@]+@[^@]+\\.[a-z]{2,}", "a.b.cd", false], ["(", "x", true], ["", "x", true]])("%s takes %s: %s", (pattern, value, valid) => {
    const field = document.createElement("input");
    field.value = value;
    checkPattern(field, pattern, "no");
    expect(field.validationMessage === "").toBe(valid);
  });

  it("reach as far as they are harmless", () => {
    expect(patternReach("[a-z]+")).toBeGreaterThan(1_000);
    expect(patternReach("(a+)+")).toBeLessThanOrEqual(20);
    expect(patternReach("(?=a)b\\1")).toBe(0);
  });

  it("are never given to the browser", async () => {
    const { root } = await show({ type: "Card", children: [{ type: "Form", children: [{ type: "Input", name: "a", pattern: "(a+)+$", defaultValue: "b" }, { type: "Input", name: "c", pattern: "[a-z]+", defaultValue: "1" }] }] });
    const [hostile, plain] = root.querySelectorAll("input");
    expect([hostile!.pattern, plain!.pattern]).toEqual(["", ""]);
    expect(plain!.validationMessage).not.toBe("");
    plain!.value = "abc";
    plain!.dispatchEvent(new Event("input"));
    expect(plain!.validationMessage).toBe("");
  });
});

describe("large widgets", () => {
  it("a select of 50,000 options opens, filters and moves with a few of them in the page", async () => {
    const options = many(50_000, (place) => ({ value: `v${place}`, label: `Option ${place}` }));
    const { root } = await show({ type: "Card", children: [{ type: "Select", name: "s", defaultValue: "v40000", options }] });
    const select = root.querySelector("ck-select") as CkSelect;
    select.querySelector<HTMLElement>(".control")!.click();
    await select.updateComplete;
    const shown = (): string[] => Array.from(select.querySelectorAll("[role=option]"), (one) => one.textContent!.trim());
    expect(shown().length).toBeLessThanOrEqual(200);
    expect(select.querySelector("[data-active=true]")!.textContent).toContain("Option 40000");
    const search = select.querySelector<HTMLInputElement>("input.search")!;
    search.value = "option 4999";
    search.dispatchEvent(new Event("input"));
    await select.updateComplete;
    expect(shown()).toHaveLength(11);
    search.value = "";
    search.dispatchEvent(new Event("input"));
    await select.updateComplete;
    search.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp", bubbles: true }));
    await select.updateComplete;
    expect(select.querySelector("[data-active=true]")!.textContent).toContain("Option 49999");
    expect(select.querySelector("[data-active=true]")!.getAttribute("aria-posinset")).toBe("50000");
    search.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    expect(select.fieldValue).toBe("v49999");
  });

  const text = { type: "Text", value: "words" };
  const LARGE: Record<string, unknown> = {
    RadioGroup: { type: "RadioGroup", name: "r", options: many(50_000, (place) => ({ value: `v${place}`, label: `Option ${place}` })) },
    ListView: { type: "ListView", children: many(50_000, () => ({ type: "ListViewItem", children: [text] })) },
    Table: { type: "Table", children: many(50_000, () => ({ type: "Table.Row", children: [{ type: "Table.Cell", children: [text] }] })) },
    Col: { type: "Col", children: many(50_000, () => text) },
    Transition: { type: "Transition", children: many(50_000, () => text) },
    Chart: { type: "Chart", xAxis: "x", data: many(50_000, (place) => ({ x: `x${place}`, y: place })), series: many(500, () => ({ type: "bar", dataKey: "y" })) },
  };

  it.each(Object.keys(LARGE))("%s with 50,000 entries is shown in parts", async (name) => {
    const { root } = await show({ type: "Card", children: [LARGE[name], { type: "Title", value: "after it" }] });
    expect(root.querySelectorAll("*").length).toBeLessThan(40_000);
    expect(root.querySelectorAll("*").length).toBeGreaterThan(4);
    expect(root.textContent).toContain("after it");
  });

  it("what is not shown can be asked for", async () => {
    const { view, root } = await show({ type: "Col", children: many(4_000, () => text) });
    const shown = (): number => root.querySelectorAll(".text").length;
    const before = shown();
    expect(before).toBeGreaterThan(2_000);
    expect(before).toBeLessThan(4_000);
    root.querySelector<HTMLElement>(".more")!.click();
    await view.updateComplete;
    expect(shown()).toBeGreaterThan(before);
  });

  it("components 5,000 deep are shown as far as anybody sees", async () => {
    let deep: unknown = text;
    for (let count = 0; count < 5_000; count += 1) deep = { type: ["Box", "Card", "Row", "Form", "Transition", "Hologram"][count % 6], children: [deep] };
    const { root } = await show({ type: "Card", children: [{ type: "Title", value: "before it" }, deep, text] });
    expect(root.textContent).toContain("before it");
    expect(root.textContent).toContain("words");
  });

  it("one component that fails leaves the others", async () => {
    const broken = { type: "Text", get value(): string { throw new Error("no"); } };
    const { root, logged } = await show({ type: "Card", children: [text, broken, { type: "Title", value: "after it" }] });
    expect(root.textContent).toContain("words");
    expect(root.textContent).toContain("after it");
    expect(logged).toContain("widget.renderFailed");
  });

  it("names with thousands of dots are one name", () => {
    expect(Object.keys(nestValues([["a.".repeat(50_000), 1]]))).toHaveLength(1);
  });
});
