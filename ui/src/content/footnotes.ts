/** The footnotes of an answer, below it, and the ways between them and what refers to them. */

import type { Token } from "marked";

import type { ContentHost } from "../contracts";
import type { Block } from "./blocks";
import { element } from "./dom";
import { morphChildren } from "./morph";
import { labelOf, type NoteToken } from "./notes";

type Blocks = readonly (readonly Block[])[];

function notesIn(blocks: Blocks): Map<string, NoteToken> {
  const notes = new Map<string, NoteToken>();
  for (const some of blocks) for (const block of some) for (const note of block.notes) if (!notes.has(note.label)) notes.set(note.label, note);
  return notes;
}

const NONE: ReadonlyMap<string, number> = new Map();

/** Numbers the footnotes that there are in the order of their first references, the others after them. */
export function numberNotes(blocks: Blocks): ReadonlyMap<string, number> {
  const notes = notesIn(blocks);
  if (notes.size === 0) return NONE;
  const numbers = new Map<string, number>();
  const add = (label: string): void => {
    if (notes.has(label) && !numbers.has(label)) numbers.set(label, numbers.size + 1);
  };
  for (const some of blocks) for (const block of some) for (const label of block.references) add(label);
  for (const label of notes.keys()) add(label);
  return numbers;
}

const rendered = new WeakMap<Element, { note: NoteToken; numbers: string }>();

/** Shows the footnotes in a box, of which only what has changed is rendered. */
export function renderNotes(blocks: Blocks, numbers: ReadonlyMap<string, number>, before: HTMLElement | null, host: ContentHost, render: (tokens: readonly Token[]) => DocumentFragment): HTMLElement {
  const title = host.translate("note.title");
  const box = before ?? element("section", { class: "notes", role: "doc-endnotes", part: "footnotes" }, element("ol", { dir: "auto" }));
  box.setAttribute("aria-label", title);
  const list = box.querySelector("ol")!;
  const notes = notesIn(blocks);
  for (const [label, number] of numbers) {
    const note = notes.get(label)!;
    const item = list.children[number - 1] ?? list.appendChild(element("li", { tabindex: "-1" }));
    // A note that is the same refers to the same links; the numbers of what it refers to may be others.
    const referred = Array.from(note.raw.slice(2).matchAll(/\[\^([^\]\s]+)\]/g), ([, one]) => numbers.get(labelOf(one!)) ?? "");
    const known = rendered.get(item);
    const shown = [number, host.locale, ...referred].join();
    if (known?.note === note && known.numbers === shown) continue;
    rendered.set(item, { note, numbers: shown });
    item.setAttribute("data-note-text", String(number));
    const fragment = render(note.tokens);
    // The list has one direction, by all of its text.
    for (const child of fragment.children) child.removeAttribute("dir");
    const back = element("button", { type: "button", class: "note-back", role: "doc-backlink", "data-note-back": String(number), "aria-label": host.translate("note.back", { number }) }, "↩\ufe0e");
    const last = fragment.lastElementChild;
    if (last?.nodeName === "P") last.append(" ", back);
    else fragment.append(back);
    morphChildren(item, fragment);
  }
  while (list.children.length > numbers.size) list.lastElementChild!.remove();
  return box;
}

/** Leads from a reference to its footnote, and back to the first reference. */
export function showNote(root: ParentNode, from: HTMLElement): void {
  const number = from.dataset["note"] ?? from.dataset["noteBack"];
  const selector = from.dataset["note"] === undefined ? `[data-note="${number}"]` : `[data-note-text="${number}"]`;
  const target = root.querySelector<HTMLElement>(selector);
  target?.scrollIntoView?.({ block: "nearest" });
  target?.focus({ preventScroll: true });
}
