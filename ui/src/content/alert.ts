/** An alert, as GitHub's `> [!NOTE]` makes one of a quote. */

import type { ContentHost } from "../contracts";
import { element } from "./dom";
import { iconElement } from "./icon";
import type { AlertKind } from "./notes";

const ICONS: Readonly<Record<AlertKind, string>> = { note: "info", tip: "lightbulb", important: "notebook", warning: "alert", caution: "alert" };

/** The direction of the first letter that has one: the title is in the reader's language, the text need not be. */
function directionOf(text: string): string {
  const letter = /\p{L}/u.exec(text)?.[0];
  if (letter === undefined) return "auto";
  return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(letter) ? "rtl" : "ltr";
}

/** Builds the box with its title; what it says, `text` in markdown, is appended. */
export function alertBox(kind: AlertKind, text: string, host: ContentHost): HTMLElement {
  const title = host.translate(`alert.${kind}`);
  return element(
    "div",
    { class: `alert alert-${kind}`, role: "note", "aria-label": title, part: "alert", dir: directionOf(text) },
    element("p", { class: "alert-title" }, iconElement(ICONS[kind]), title),
  );
}
