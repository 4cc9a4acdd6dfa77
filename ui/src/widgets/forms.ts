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
 * The values of all controls below `root`, dotted names nested.
 *
 * Texts are strings as typed; checkboxes true or false; radio groups, selects and dates a string, or null without choice.
 */
export function collectValues(root: ParentNode): Record<string, unknown> {
  const values = new Map<string, unknown>();
  for (const element of root.querySelectorAll("*")) {
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

/** Browsers check no pattern on text areas: this does, with the same meaning. */
export function checkPattern(area: HTMLTextAreaElement, pattern: string, message: string): void {
  let matches = true;
  try {
    matches = area.value === "" || new RegExp(`^(?:${pattern})$`, "v").test(area.value);
  } catch {
    matches = true;
  }
  area.setCustomValidity(matches ? "" : message);
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
