/** A code block: language, copy button, code that is highlighted once the library is there. */

import type { ContentHost } from "../contracts";
import { element } from "./dom";
import { highlightNow, knownLanguage, loadLanguage } from "./highlight";
import { iconElement } from "./icon";
import { morphChildren, setKey } from "./morph";
import { later } from "./queue";

/** Code that is longer stands in pieces, each laid out and highlighted by itself. */
const WHOLE = 4_000;
/** Length of a piece, which ends with a line; a line may be longer. */
const PIECE = 2_000;
/** Code up to this length is highlighted at once where the library is there, so that nothing flickers. */
const AT_ONCE = 1_000;
/** Time between two highlightings of code that streams in. */
const PAUSE = 150;
/** Highlighting that takes longer, in milliseconds, is the block's last. */
const SLOW = 60;

const pending = new WeakMap<Element, ReturnType<typeof setTimeout>>();
const slow = new WeakSet<Element>();

/** Highlights a whole block or one piece of it. */
function paint(part: HTMLElement, code: HTMLElement): void {
  const language = code.dataset["language"] ?? "";
  if (knownLanguage(language) === null) return;
  later(async () => {
    const text = part.textContent ?? "";
    if (slow.has(code)) return;
    await loadLanguage(language);
    const begun = performance.now();
    const fragment = highlightNow(text, language);
    // The code may have grown while the library was loading; the next pause paints it.
    if (fragment && part.textContent === text) morphChildren(part, fragment);
    if (performance.now() - begun > SLOW) slow.add(code);
  });
}

function paintSoon(code: HTMLElement): void {
  if (pending.has(code)) return;
  const timer = setTimeout(() => {
    pending.delete(code);
    if (code.isConnected && code.querySelector(".piece") === null) paint(code, code);
  }, PAUSE);
  pending.set(code, timer);
}

/** The end of the piece that begins at `from`: after a line, and if there is one, before a line that begins at the margin. */
function pieceEnd(text: string, from: number): number {
  if (text.length - from <= PIECE) return text.length;
  const line = text.indexOf("\n", from + PIECE) + 1;
  if (line === 0) return text.length;
  let margin = line;
  for (let tries = 0; tries < 12 && /\s/.test(text[margin] ?? "x"); tries += 1) {
    const next = text.indexOf("\n", margin) + 1;
    if (next === 0 || next - line > PIECE) return line;
    margin = next;
  }
  return margin;
}

/** Appends pieces of code; the last one may still grow. */
function appendPieces(code: HTMLElement, text: string): void {
  for (let from = 0; from < text.length; ) {
    const end = pieceEnd(text, from);
    const piece = element("span", { class: "piece" }, text.slice(from, end));
    code.append(piece);
    paint(piece, code);
    from = end;
  }
}

/** Builds the block; `open` says that code is still being appended, by `growCode`. */
export function codeBlock(text: string, info: string, open: boolean, host: ContentHost): HTMLElement {
  const language = /^[\w+#.-]{1,24}/.exec(info.trim())?.[0] ?? "";
  const shown = language || host.translate("code.plain");
  const code = element("code");
  if (language) code.dataset["language"] = language;
  const now = text.length <= AT_ONCE && !open ? highlightNow(text, language) : null;
  if (now) code.append(now);
  else if (text.length <= WHOLE) code.append(text);
  else appendPieces(code, text);
  const copy = element("button", { type: "button", class: "copy", part: "code-copy", "aria-label": host.translate("code.copy") });
  copy.append(iconElement("copy"));
  if (!open) setKey(code, `${language}\n${text}`);
  if (text.length <= WHOLE) {
    if (open) paintSoon(code);
    else if (!now) paint(code, code);
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
function append(code: HTMLElement, added: string, before: number): void {
  const last = code.lastElementChild;
  const isPiece = last?.classList.contains("piece") === true;
  if (!isPiece && before + added.length <= WHOLE) {
    appendText(code, added);
    paintSoon(code);
    return;
  }
  const rest = isPiece ? (last.textContent ?? "") + added : (code.textContent ?? "") + added;
  if (isPiece && pieceEnd(rest, 0) === rest.length) {
    appendText(last, added);
    return;
  }
  if (isPiece) last.remove();
  else code.replaceChildren();
  appendPieces(code, rest);
}

function appendText(to: Node, added: string): void {
  const last = to.lastChild;
  if (last?.nodeType === Node.TEXT_NODE) (last as Text).appendData(added);
  else to.appendChild(document.createTextNode(added));
}

/** Appends to the code of an open block; false where the block holds something else. */
export function growCode(container: Element, text: string): boolean {
  const code = container.querySelector<HTMLElement>("figure.code code");
  const before = code?.textContent ?? "";
  if (!code || text.length < before.length || text.slice(0, before.length) !== before) return false;
  if (text.length > before.length) append(code, text.slice(before.length), before.length);
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
