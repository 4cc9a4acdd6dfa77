/** A code block: language, copy button, code that is highlighted once the library is there. */

import type { ContentHost } from "../contracts";
import { element } from "./dom";
import { iconElement } from "./icon";
import { highlight, highlightNow, knownLanguage } from "./highlight";
import { morphChildren, setKey } from "./morph";

/** Code that streams in is highlighted again while it is shorter than this; beyond, only when it is complete. */
const STREAMED = 20_000;
const PAUSE = 150;
/** Length of the pieces of code beyond that. */
const PIECE = 4000;

const pending = new WeakMap<Element, ReturnType<typeof setTimeout>>();

function paint(code: HTMLElement, language: string): void {
  const text = code.textContent ?? "";
  const now = highlightNow(text, language);
  if (now) {
    morphChildren(code, now);
    return;
  }
  void highlight(text, language).then(
    (fragment) => {
      // The code may have grown while the library was loading; the next pause paints it.
      if (fragment && code.textContent === text) morphChildren(code, fragment);
    },
    () => undefined,
  );
}

function paintSoon(code: HTMLElement, language: string): void {
  if (pending.has(code) || !knownLanguage(language)) return;
  const timer = setTimeout(() => {
    pending.delete(code);
    if (code.isConnected && (code.textContent ?? "").length < STREAMED) paint(code, language);
  }, PAUSE);
  pending.set(code, timer);
}

/** Builds the block; `open` says that code is still being appended, by `growCode`. */
export function codeBlock(text: string, info: string, open: boolean, host: ContentHost): HTMLElement {
  const language = /^[\w+#.-]{1,24}/.exec(info.trim())?.[0] ?? "";
  const shown = language || host.translate("code.plain");
  const code = element("code", {}, text);
  if (language) code.dataset["language"] = language;
  const copy = element("button", { type: "button", class: "copy", part: "code-copy", "aria-label": host.translate("code.copy") });
  copy.append(iconElement("copy"));
  if (open) paintSoon(code, language);
  else {
    setKey(code, `${language}\n${text}`);
    if (knownLanguage(language)) paint(code, language);
  }
  const label = host.translate("code.label", { language: shown });
  return element(
    "figure",
    { class: "code", part: "code", dir: "ltr", "aria-label": label },
    element("figcaption", { part: "code-bar" }, element("span", {}, shown), copy),
    element("pre", { tabindex: "0" }, code),
  );
}

/** Code that is too long to be laid out anew for each line stands in pieces, of which only the last one changes. */
function append(code: HTMLElement, added: string, before: string): void {
  const last = code.lastChild;
  const cut = before.endsWith("\n") ? 0 : added.indexOf("\n") + 1;
  const isFull = (last?.textContent?.length ?? 0) > PIECE;
  if (before.length + added.length < STREAMED || (!isFull && last)) appendText(last ?? code, added);
  else if (cut === 0 && !before.endsWith("\n")) appendText(last ?? code, added);
  else {
    if (cut > 0) appendText(last ?? code, added.slice(0, cut));
    if (cut < added.length) code.append(element("span", { class: "piece" }, added.slice(cut)));
  }
}

function appendText(to: Node, added: string): void {
  const last = to.nodeType === Node.TEXT_NODE ? to : to.lastChild;
  if (last?.nodeType === Node.TEXT_NODE) (last as Text).appendData(added);
  else to.appendChild(document.createTextNode(added));
}

/** Appends to the code of an open block; false where the block holds something else. */
export function growCode(container: Element, text: string): boolean {
  const code = container.querySelector<HTMLElement>("figure.code code");
  const before = code?.textContent ?? "";
  if (!code || !text.startsWith(before)) return false;
  const added = text.slice(before.length);
  if (added === "") return true;
  append(code, added, before);
  if (text.length < STREAMED) paintSoon(code, code.dataset["language"] ?? "");
  return true;
}

/** Copies the code of the block that a copy button belongs to, and says so for two seconds. */
export async function copyCode(button: HTMLElement, host: ContentHost): Promise<void> {
  const text = button.closest("figure")?.querySelector("code")?.textContent ?? "";
  let key = "code.copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    key = "code.failed";
    host.onLog("code.copyFailed");
  }
  button.setAttribute("aria-label", host.translate(key));
  button.replaceChildren(iconElement(key === "code.copied" ? "check" : "copy"));
  button.dataset["state"] = key;
  setTimeout(() => {
    button.setAttribute("aria-label", host.translate("code.copy"));
    button.replaceChildren(iconElement("copy"));
    delete button.dataset["state"];
  }, 2000);
}
