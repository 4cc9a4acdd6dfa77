/** Lists and tables of thousands of entries that still grow: what is settled of them is neither lexed nor rendered again. */

import type { Token, Tokens } from "marked";

/** Entries from which on a block is read in parts. */
const LARGE = 48;
/** Entries at the end that later text may still change, with room to spare. */
const OPEN = 8;

type Entries = readonly Tokens.ListItem[] | readonly (readonly Tokens.TableCell[])[];

/** The part of a block that no later text changes. */
export interface Growth {
  /** The block with its settled entries alone. */
  readonly token: Token;
  readonly start: number;
  /** Where the text begins that is lexed again. */
  readonly from: number;
  /** What has to stand before that text so that it is read as the same thing: the head of a table. */
  readonly head: string;
  readonly settled: number;
}

/** The items of a list or rows of a table; null for other blocks. */
export function entriesOf(token: Token | undefined): Entries | null {
  if (token?.type === "list") return (token as Tokens.List).items;
  return token?.type === "table" ? (token as Tokens.Table).rows : null;
}

/** The same list or table with other entries. */
export function withEntries(token: Token, entries: Entries): Token {
  return token.type === "list" ? ({ ...token, items: entries } as Tokens.List) : ({ ...token, rows: entries } as Tokens.Table);
}

export function isLarge(token: Token | undefined): boolean {
  return (entriesOf(token)?.length ?? 0) > LARGE;
}

/** Joins the settled part with what was lexed anew after it; null where that is no longer the same block. */
export function joined(growth: Growth, fresh: Token | undefined): Token | null {
  const before = growth.token as Tokens.List;
  if (!fresh || fresh.type !== before.type || (fresh as Tokens.List).ordered !== before.ordered) return null;
  const list = fresh as Tokens.List;
  const loose = before.type === "list" && (before.loose || list.loose);
  const items = (one: Tokens.List): Entries => (loose && !one.loose ? loosened(one.items) : entriesOf(one)!);
  const entries = [...items(before), ...items(list)] as Entries;
  return { ...withEntries(before, entries), ...(before.type === "list" ? { loose } : {}), raw: fresh.raw } as Token;
}

/** Items of a list in which another one has blank lines: all of them hold paragraphs then. */
function loosened(items: readonly Tokens.ListItem[]): Tokens.ListItem[] {
  return items.map((item) => ({ ...item, loose: true, tokens: item.tokens.map((token) => (token.type === "text" ? ({ ...token, type: "paragraph" } as Token) : token)) }));
}

/** Whether a list has become one of paragraphs, so that its settled items look different. */
export function hasLoosened(growth: Growth, whole: Token): boolean {
  return whole.type === "list" && (whole as Tokens.List).loose && !(growth.token as Tokens.List).loose;
}

/**
 * Settles all entries of a large block but the last ones; null where their text is not found as it should be.
 *
 * @param isFull whether no more text is lexed at once than there is now: then only the last entry stays open.
 */
export function settle(token: Token, text: string, start: number, before: Growth | null, isFull = false): Growth | null {
  const entries = entriesOf(token)!;
  const done = before?.settled ?? 0;
  if (before && !isFull && entries.length - done <= OPEN * 4) return before;
  const settled = entries.length - (isFull ? 1 : OPEN);
  if (settled <= done) return before;
  const isTable = token.type === "table";
  const lines = token.raw.split("\n", isTable ? 2 + settled : 0);
  const head = isTable ? (before?.head ?? `${lines[0]}\n${lines[1]}\n`) : "";
  const from = before?.from ?? start + head.length;
  const added = isTable
    ? lines.slice(2 + done).map((line) => `${line}\n`)
    : (entries as readonly Tokens.ListItem[]).slice(done, settled).map((item) => item.raw);
  const passed = added.join("");
  if (text.slice(from, from + passed.length) !== passed) return before;
  return { token: withEntries(token, entries.slice(0, settled) as Entries), start, from: from + passed.length, head, settled };
}
