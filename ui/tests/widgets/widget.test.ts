import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { WidgetAction, WidgetHost } from "../../src/contracts";
import { quietHost } from "../xssViews";
import { componentNames, type CkWidget } from "../../src/widgets";

type Call = { action: WidgetAction; itemId: string | null; resolve: () => void; reject: (error: Error) => void };

let calls: Call[] = [];
let logged: [string, unknown][] = [];
const host: WidgetHost = {
  ...quietHost,
  onLog: (name, data) => logged.push([name, data]),
  onAction: (action, source) =>
    new Promise<void>((resolve, reject) => {
      calls.push({ action, itemId: source.itemId, resolve, reject });
    }),
};

beforeEach(() => {
  calls = [];
  logged = [];
});
afterEach(() => {
  document.body.replaceChildren();
});

async function show(widget: unknown): Promise<{ view: CkWidget; root: ShadowRoot; find: (selector: string) => HTMLElement }> {
  const view = document.createElement("ck-widget");
  Object.assign(view, { host, widget, itemId: "item_1" });
  document.body.append(view);
  await view.updateComplete;
  const root = view.shadowRoot!;
  return { view, root, find: (selector) => root.querySelector<HTMLElement>(selector)! };
}

async function settled(view: CkWidget): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  await view.updateComplete;
}

const form = (children: unknown[]): unknown => ({ type: "Card", children: [{ type: "Form", onSubmitAction: { type: "save", payload: { id: 1 } }, children }] });

describe("ck-widget", () => {
  it("knows thirty components", () => {
    expect(componentNames).toHaveLength(30);
  });

  it("sends an action with its defaults and shows that it runs", async () => {
    const { view, find } = await show({ type: "Card", children: [{ type: "Button", label: "Go", onClickAction: { type: "go" } }] });
    find("button").click();
    await view.updateComplete;
    expect(calls[0]!.action).toEqual({ type: "go", handler: "server", loadingBehavior: "auto", streaming: true });
    expect(calls[0]!.itemId).toBe("item_1");
    expect(find("button").getAttribute("aria-busy")).toBe("true");
    find("button").click();
    expect(calls).toHaveLength(1);
    calls[0]!.resolve();
    await settled(view);
    expect(find("button").hasAttribute("aria-busy")).toBe(false);
  });

  it("ends the waiting and says so when an action fails", async () => {
    const { view, find, root } = await show({ type: "Card", confirm: { label: "OK", action: { type: "ok" } }, children: [] });
    find(".card-actions button").click();
    await view.updateComplete;
    expect(find(".widget").hasAttribute("inert")).toBe(true);
    calls[0]!.reject(new Error("no"));
    await settled(view);
    expect(find(".widget").hasAttribute("inert")).toBe(false);
    expect(root.querySelector(".failure")?.textContent).toContain("did not work");
    expect(logged.map(([name]) => name)).toContain("widget.actionFailed");
  });

  it("joins the values of a form to every action in it", async () => {
    const { view, root } = await show(
      form([
        { type: "Input", name: "todo.title", defaultValue: "Buy" },
        { type: "Textarea", name: "todo.note", defaultValue: "milk" },
        { type: "Checkbox", name: "done", defaultChecked: true },
        { type: "RadioGroup", name: "kind", defaultValue: "b", options: [{ value: "a", label: "A" }, { value: "b", label: "B" }] },
        { type: "Select", name: "size", defaultValue: "m", options: [{ value: "m", label: "M" }] },
        { type: "DatePicker", name: "day", defaultValue: "2026-01-02T03:04:05Z" },
        { type: "Text", value: "free", editable: { name: "text" } },
        { type: "Button", label: "Other", onClickAction: { type: "other", loadingBehavior: "none" } },
        { type: "Button", label: "Save", submit: true },
      ]),
    );
    const values = { todo: { title: "Buy", note: "milk" }, done: true, kind: "b", size: "m", day: "2026-01-02", text: "free" };
    [...root.querySelectorAll<HTMLElement>(".button")].find((one) => one.textContent!.includes("Other"))!.click();
    expect(calls[0]!.action).toMatchObject({ type: "other", payload: values });
    root.querySelector("form")!.dispatchEvent(new Event("submit", { cancelable: true }));
    await view.updateComplete;
    expect(calls[1]!.action).toMatchObject({ type: "save", payload: { id: 1, ...values } });
  });

  it("keeps elements and typed values through updates", async () => {
    const widget = (title: string, extra: unknown[] = []): unknown => ({ type: "Card", asForm: true, children: [{ type: "Text", id: "t", value: title, streaming: true }, ...extra, { type: "Input", key: "name", name: "name", defaultValue: "x" }] });
    const { view, find } = await show(widget("a"));
    const input = find("input") as HTMLInputElement;
    const label = find(".text");
    input.value = "typed";
    input.focus();
    view.widget = widget("a b", [{ type: "Badge", label: "new" }]);
    await view.updateComplete;
    expect(find("input")).toBe(input);
    expect(input.value).toBe("typed");
    expect(view.shadowRoot!.activeElement).toBe(input);
    expect(find(".text")).toBe(label);
    expect(label.textContent).toBe("a b");
  });

  it("shows a list up to its limit", async () => {
    const children = [1, 2, 3, 4].map((number) => ({ type: "ListViewItem", onClickAction: { type: "pick", payload: { number } }, children: [{ type: "Text", value: `Row ${number}` }] }));
    const { view, root, find } = await show({ type: "ListView", limit: 2, children });
    expect(root.querySelectorAll("li")).toHaveLength(2);
    expect(find(".more").textContent).toContain("Show 2 more");
    find(".more").click();
    await view.updateComplete;
    expect(root.querySelectorAll("li")).toHaveLength(4);
    root.querySelectorAll<HTMLElement>(".hit")[2]!.click();
    expect(calls[0]!.action.payload).toEqual({ number: 3 });
  });

  it("names controls by their labels", async () => {
    const { root } = await show(form([{ type: "Label", value: "Name", fieldName: "n" }, { type: "Input", name: "n", placeholder: "p" }, { type: "Input", name: "other", placeholder: "Other" }]));
    const label = root.querySelector("label")!;
    const [first, second] = root.querySelectorAll("input");
    expect(first!.id).toBe(label.htmlFor);
    expect(first!.hasAttribute("aria-label")).toBe(false);
    expect(second!.getAttribute("aria-label")).toBe("Other");
  });

  it("shows the children of unknown components and tells the log once", async () => {
    const { view, root } = await show({ type: "Card", children: [{ type: "Hologram", children: [{ type: "Text", value: "inside" }] }] });
    view.requestUpdate();
    await view.updateComplete;
    expect(root.textContent).toContain("inside");
    expect(logged).toEqual([["widget.unknown", { type: "Hologram" }]]);
  });
});
