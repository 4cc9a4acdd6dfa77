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
  /** Which growing block they belong to. */
  series: number;
}

/** The part that grows: the last list or table body of a block; null where the block holds something else. */
function lastSection(container: Element, type: string): HTMLElement | null {
  if (type === "table") return container.querySelector<HTMLElement>("tbody:last-child");
  const last = container.lastElementChild;
  return last instanceof HTMLElement && ["UL", "OL"].includes(last.nodeName) ? last : null;
}

/** Rows that are laid out on their own keep the widths that the columns had when the table became large. */
function keepWidths(table: HTMLTableElement): void {
  const cells = [...table.querySelectorAll("thead th")];
  table.style.setProperty("--columns", cells.map((cell) => `minmax(6.5em, ${Math.round(cell.getBoundingClientRect().width)}fr)`).join(" "));
  table.style.setProperty("min-inline-size", `${cells.length * 6.5}em`);
  table.classList.add("large");
}

function nextSection(section: HTMLElement, token: Tokens.List | Tokens.Table, sections: Sections): HTMLElement {
  const kept = sections.settled - sections.base;
  while (section.childNodes.length > kept) section.lastChild!.remove();
  const next = section.cloneNode(false) as HTMLElement;
  if (token.type === "list" && token.ordered) next.setAttribute("start", String(Number(token.start || 1) + sections.settled));
  section.after(next);
  section.classList.add("done");
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
  if (sections.settled - sections.base >= SECTION) {
    const table = section.closest("table");
    if (table && !table.classList.contains("large")) keepWidths(table);
    section = nextSection(section, token, sections);
  }
  const source = token.type === "table" ? fresh.querySelector("tbody") : fresh.firstElementChild;
  morphChildren(section, source ?? document.createDocumentFragment(), sections.settled - sections.base);
  return true;
}
