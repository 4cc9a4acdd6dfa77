/** The nodes of lists and tables of thousands of entries, in sections: a browser lays out the last one only. */

import type { Tokens } from "marked";

import { morphChildren } from "./morph";

/** Entries of a section. */
const SECTION = 64;

/** What of a large list or table is there for good. */
export interface Sections {
  /** Entries that no later text changes. */
  settled: number;
  /** The first entry of the last section. */
  base: number;
}

/** The part that grows: the last list or table body of a block; null where the block holds something else. */
function lastSection(container: Element, type: string): HTMLElement | null {
  if (type === "table") return container.querySelector("table")?.tBodies.item(container.querySelector("table")!.tBodies.length - 1) ?? null;
  const last = container.lastElementChild;
  return last instanceof HTMLElement && ["UL", "OL"].includes(last.nodeName) ? last : null;
}

/** Sections of a table are laid out on their own: they keep the widths that its columns had when it became large. */
function keepWidths(section: HTMLElement): void {
  const table = section.closest("table")!;
  const head = table.tHead?.rows[0];
  if (!head) return;
  if (!table.classList.contains("large")) {
    const total = head.getBoundingClientRect().width;
    const shares = [...head.cells].map((cell) => (total > 0 ? cell.getBoundingClientRect().width / total : 1 / head.cells.length));
    table.classList.add("large");
    table.style.setProperty("min-inline-size", `${head.cells.length * 5}em`);
    for (const [place, cell] of [...head.cells].entries()) cell.style.setProperty("inline-size", `${shares[place]! * 100}%`);
    for (const body of table.tBodies) copyWidths(head, body);
  }
  copyWidths(head, section);
}

function copyWidths(head: HTMLTableRowElement, section: Element): void {
  const first = section.firstElementChild;
  if (!(first instanceof HTMLTableRowElement)) return;
  for (const [place, cell] of [...first.cells].entries()) cell.style.setProperty("inline-size", head.cells[place]?.style.getPropertyValue("inline-size") ?? "");
}

function nextSection(section: HTMLElement, token: Tokens.List | Tokens.Table, sections: Sections): HTMLElement {
  const kept = sections.settled - sections.base;
  while (section.childNodes.length > kept) section.lastChild!.remove();
  const next = section.cloneNode(false) as HTMLElement;
  if (token.type === "list" && token.ordered) next.setAttribute("start", String(Number(token.start || 1) + sections.settled));
  section.after(next);
  sections.base = sections.settled;
  return next;
}

/**
 * Shows what follows the settled entries.
 *
 * @param container holds the block.
 * @param sections what is there; kept up to date.
 * @param fresh the list or table with the entries that follow the settled ones, rendered.
 * @returns whether it could; if not, nothing has changed.
 */
export function growSections(container: Element, sections: Sections, token: Tokens.List | Tokens.Table, fresh: ParentNode): boolean {
  let section = lastSection(container, token.type);
  if (!section || section.childNodes.length < sections.settled - sections.base) return false;
  const isNew = sections.settled - sections.base >= SECTION;
  if (isNew) section = nextSection(section, token, sections);
  const source = token.type === "table" ? fresh.querySelector("tbody") : fresh.firstElementChild;
  morphChildren(section, source ?? document.createDocumentFragment(), sections.settled - sections.base);
  if (token.type === "table" && (isNew || section.closest("table")!.classList.contains("large"))) keepWidths(section);
  return true;
}
