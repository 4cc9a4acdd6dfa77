/** What the controls of a form hold. */

import { nestValues } from "./actions";

/** A control of our own, which knows its value. */
export interface FieldElement extends HTMLElement {
  readonly fieldName: string;
  readonly fieldValue: unknown;
}

function isField(element: Element): element is FieldElement {
  return "fieldName" in element && "fieldValue" in element;
}

/**
 * The values of all controls of the form around an element, dotted names nested; outside of a form, that of the element itself.
 *
 * Texts are strings as typed; checkboxes true or false; radio groups, selects and dates a string, or null without choice.
 */
export function collectValues(origin: Element): Record<string, unknown> {
  const form = origin.closest("form");
  const values = new Map<string, unknown>();
  for (const element of form ? form.querySelectorAll("*") : [origin, ...origin.querySelectorAll("*")]) {
    if (isField(element)) values.set(element.fieldName, element.fieldValue);
    else if (element instanceof HTMLTextAreaElement) set(values, element.dataset["field"], element.value);
    else if (element instanceof HTMLInputElement) {
      const name = element.dataset["field"];
      if (element.type === "checkbox") set(values, name, element.checked);
      else if (element.type !== "radio") set(values, name, element.value);
      else if (name && (element.checked || !values.has(name))) values.set(name, element.checked ? element.value : null);
    }
  }
  return nestValues([...values]);
}

function set(values: Map<string, unknown>, name: string | undefined, value: unknown): void {
  if (name) values.set(name, value);
}

/** Steps of a regular expression that one check may take. */
const MOST_STEPS = 2e6;

/** Letters of a value that a pattern may be tried on, so that it takes no more than `MOST_STEPS`; 0 where it cannot be told. */
export function patternReach(pattern: string): number {
  if (pattern.length > 500 || /\\[1-9k]|\(\?<?[=!]/.test(pattern)) return 0;
  const plain = pattern.replace(/\\./gs, "a").replace(/\[[^\]]*\]/g, "a");
  const open: { repeats: number }[] = [{ repeats: 0 }];
  let isNested = false;
  let last = { repeats: 0 };
  for (const [sign, , , most] of plain.matchAll(/\(|\)|[*+?]|\{(\d+)(,(\d*))?\}|\||[^()*+?{|]|\{/g)) {
    if (sign === "(") open.push({ repeats: 0 });
    else if (sign === ")") {
      if (open.length === 1) return 0;
      last = open.pop()!;
      open.at(-1)!.repeats += last.repeats;
    } else if (sign === "|") open.at(-1)!.repeats += 0.5;
    else if (sign === "*" || sign === "+" || most !== undefined) {
      if (last.repeats > 0) isNested = true;
      open.at(-1)!.repeats += 1;
      last = { repeats: 0 };
    } else if (sign === "?") open.at(-1)!.repeats += 0.25;
    else last = { repeats: 0 };
  }
  const repeats = Math.max(1, Math.ceil(open[0]!.repeats));
  // What repeats inside of what repeats may double the steps with each letter.
  return isNested ? 16 : Math.floor(MOST_STEPS ** (1 / (repeats + 1)));
}

/**
 * Checks the value of a field by a pattern, with the meaning of the attribute `pattern`.
 *
 * The attribute itself is never set: browsers try it on every letter, however long it takes. A value that is too long for
 * its pattern is left to the server.
 */
export function checkPattern(field: HTMLTextAreaElement | HTMLInputElement, pattern: string, message: string): void {
  let matches = true;
  if (pattern !== "" && field.value !== "" && field.value.length <= patternReach(pattern)) {
    try {
      matches = new RegExp(`^(?:${pattern})$`, "v").test(field.value);
    } catch {
      matches = true;
    }
  }
  field.setCustomValidity(matches ? "" : message);
}

/** Whether all controls of a form are valid; the first that is not says why. */
export function validate(root: ParentNode): boolean {
  for (const element of root.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>("input, textarea")) {
    if (!element.checkValidity()) {
      element.reportValidity();
      return false;
    }
  }
  return true;
}
