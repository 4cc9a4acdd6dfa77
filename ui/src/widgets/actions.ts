/** Actions of widgets: their defaults, what they carry, and what shows that they are under way. */

import type { WidgetAction } from "../contracts";
import { type Dict, isDict } from "./types";

/** What an action is bound to. */
export type Bound = "Button" | "Card.confirm" | "Card.cancel" | "Form" | "ListViewItem" | "Select" | "DatePicker" | "Checkbox" | "RadioGroup";

/** What waits while an action runs: the bound node, the whole widget, or nothing. */
export type Loading = "self" | "container" | "none";

const AUTO: Record<Bound, Loading> = {
  Button: "self",
  "Card.confirm": "container",
  "Card.cancel": "container",
  Form: "self",
  ListViewItem: "self",
  Select: "none",
  DatePicker: "none",
  Checkbox: "none",
  RadioGroup: "none",
};

/** Reads an action with its defaults; null where it has no type. */
export function readAction(value: unknown): WidgetAction | null {
  if (!isDict(value) || typeof value["type"] !== "string") return null;
  const loading = value["loadingBehavior"];
  const action: WidgetAction = {
    type: value["type"],
    handler: value["handler"] === "client" ? "client" : "server",
    loadingBehavior: loading === "none" || loading === "self" || loading === "container" ? loading : "auto",
    streaming: value["streaming"] !== false,
  };
  if (value["payload"] !== undefined && value["payload"] !== null) action.payload = value["payload"] as Record<string, unknown>;
  return action;
}

export function loadingOf(action: WidgetAction, bound: Bound): Loading {
  return action.loadingBehavior === "auto" ? AUTO[bound] : action.loadingBehavior;
}

const LONGEST_NAME = 255;
const UNSAFE = new Set(["__proto__", "constructor", "prototype"]);

function insert(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [head, ...rest] = path;
  if (head === undefined) return;
  if (rest.length === 0) {
    target[head] = value;
    return;
  }
  const inner = isDict(target[head]) ? { ...target[head] } : {};
  insert(inner, rest, value);
  target[head] = inner;
}

/** Turns names with dots into nested objects: `todo.title` becomes `{todo: {title}}`. */
export function nestValues(values: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const nested: Record<string, unknown> = {};
  for (const [name, value] of values) {
    // A name that is this long names no field of an object.
    const path = name.length > LONGEST_NAME ? [name] : name.split(".").filter((part) => part !== "");
    if (path.length > 0 && !path.some((part) => UNSAFE.has(part))) insert(nested, path, value);
  }
  return nested;
}

function merge(under: Dict, over: Dict): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...under };
  for (const [name, value] of Object.entries(over)) {
    const below = merged[name];
    merged[name] = isDict(below) && isDict(value) ? merge(below, value) : value;
  }
  return merged;
}

/** The action with the values of its form in the payload; what a user entered wins over what the widget said. */
export function withValues(action: WidgetAction, values: Dict): WidgetAction {
  if (Object.keys(values).length === 0) return action;
  return { ...action, payload: merge(isDict(action.payload) ? action.payload : {}, values) };
}
