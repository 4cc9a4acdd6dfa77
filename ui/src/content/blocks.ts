/** Splits growing markdown into blocks, so that what is finished is never lexed or rendered again. */

import type { Token, Tokens, TokensList } from "marked";
import remend from "remend";

import { entriesOf, type Growth, hasLoosened, isLarge, joined, settle, withEntries } from "./growth";
import { isMark, lex, type Links } from "./lexer";
import { type NoteReference, type NoteToken, walkTokens } from "./notes";

/** A piece of the text that is rendered on its own: a paragraph, a list, a code block. */
export interface Block {
  /** Place among the blocks, counted from 0; the same block keeps it while text is only appended. */
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly raw: string;
  readonly tokens: readonly Token[];
  /** No later text can change it, unless it defines a link that this block refers to. */
  readonly stable: boolean;
  /** The block is a fence without its end: code only grows. */
  readonly openCode: string | null;
  /** Entries at the beginning of a list or table that are the same in every later state of it. */
  readonly settled: number;
  /** Number of the growing block that they are of; another text has another one. */
  readonly series: number;
  /** Counts how often later definitions have changed its links. */
  readonly edition: number;
  /** Labels of the footnotes that it refers to, in order. */
  readonly references: readonly string[];
  /** The footnotes that it holds. */
  readonly notes: readonly NoteToken[];
}

export interface Blocks {
  readonly stable: readonly Block[];
  readonly tail: readonly Block[];
  /** Blocks below this index are the ones of the call before. */
  readonly unchanged: number;
  /** There is more text than there was time for; the same call continues with it. */
  readonly more: boolean;
}

interface Fence {
  readonly marker: string;
  readonly codeStart: number;
}

/**
 * Weight of the letters that are lexed at once; a block that is heavier, and is no code, list or table, is cut into several.
 *
 * Marks and line ends weigh more, for they are what costs time: prose is cut after 11,000 letters, marks alone after 2,000.
 */
const WINDOW = 16_000;
const MARK_WEIGHT = 8;
/** Letters at the end of a growing block in which what is still open is looked for. */
const MENDED = 2_000;
/** Letters of an image in its address that is read whole. */
const MOST_DATA = 2_000_000;

const TABLE_HEAD = /^\|[^\n]*(?:\n[|:\- \t]*)?$/;

/** Gives a table whose delimiter row is still to come one, so that it does not begin its life as text with bars. */
export function completeTable(raw: string): string {
  if (!TABLE_HEAD.test(raw)) return raw;
  const header = raw.split("\n", 1)[0]!.trim();
  const cells = header.replace(/^\||\|$/g, "").split(/(?<!\\)\|/).length;
  const closed = header.length > 1 && header.endsWith("|") ? header : `${header} |`;
  return `${closed}\n|${" --- |".repeat(cells)}`;
}

/** Closes what is open at the end of a text that still grows: emphasis, code, links, tables. */
export function mendTail(raw: string): string {
  const table = completeTable(raw);
  if (table !== raw) return table;
  const from = raw.length <= MENDED ? 0 : raw.indexOf("\n", raw.length - MENDED) + 1 || raw.length - MENDED;
  return raw.slice(0, from) + remend(raw.slice(from), { linkMode: "text-only", katex: false, inlineKatex: false });
}

/** As `startsWith`, which engines do letter by letter; equality compares memory. */
export function beginsWith(text: string, start: string): boolean {
  return text.length >= start.length && text.slice(0, start.length) === start;
}

function openFence(raw: string, start: number): Fence | null {
  const opening = /^(`{3,}|~{3,})[^\n]*\n/.exec(raw);
  if (!opening) return null;
  return { marker: opening[1]!, codeStart: start + opening[0].length };
}

function closesFence(text: string, from: number, marker: string): boolean {
  const lineStart = text.lastIndexOf("\n", from - 1) + 1;
  const closing = new RegExp(`^ {0,3}${marker[0] === "`" ? "`" : "~"}{${marker.length},}[ \\t]*(?:\\n|$)`, "m");
  return closing.test(text.slice(lineStart));
}

/** A definition with a blank line after it is complete. */
function isFirm(token: Token, next: Token | undefined): boolean {
  return token.type === "def" && /\n[ \t]*\n/.test((/\n+$/.exec(token.raw)?.[0] ?? "") + (next?.type === "space" ? next.raw : ""));
}

/** The label of a link as references and definitions compare it. */
function normaliseLabel(label: string): string {
  return label.trim().replace(/\s+/g, " ").toLowerCase().toUpperCase().toLowerCase();
}

const BRACKETS = /\[((?:\\[\s\S]|[^[\]\\]){1,999})\]/g;

/** Labels that a text may refer to. */
function labelsIn(raw: string): string[] {
  return raw.includes("[") ? Array.from(raw.matchAll(BRACKETS), (match) => normaliseLabel(match[1]!)) : [];
}

/** Definitions of links among tokens, also inside of quotes and lists; the first of a label counts. */
function linksOf(tokens: readonly Token[]): Links {
  const links: Links = Object.create(null) as Links;
  walkTokens(tokens.filter((token) => token.raw.includes("]:")), (token) => {
    const def = token as Tokens.Def;
    if (token.type === "def" && !(def.tag in links)) links[def.tag] = { href: def.href, title: def.title };
  });
  return links;
}

function relexed(raw: string, links: Links): Token[] {
  return lex(raw, links, false).filter((token) => token.type !== "space");
}

/** Where the text ends that is lexed at once: after a line where there is one, or a space. */
function windowEnd(text: string, start: number): number {
  if ((text.length - start) * MARK_WEIGHT <= WINDOW) return text.length;
  let [most, weight, line, space] = [start, 0, start, start];
  for (; most < text.length && weight < WINDOW; most += 1) {
    const code = text.charCodeAt(most);
    weight += isMark(code) || code === 10 ? MARK_WEIGHT : 1;
    if (code === 10) line = most + 1;
    else if (code === 32) space = most + 1;
  }
  // An image that is in its address is not cut.
  const data = text.lastIndexOf("(data:image/", most);
  if (data >= start && most < text.length) {
    const end = text.indexOf(")", data);
    if (end >= most && end - data < MOST_DATA) return end + 1;
  }
  if (most >= text.length) return text.length;
  const least = start + (most - start) / 2;
  if (line > least) return line;
  if (space > least) return space;
  return (text.charCodeAt(most) & 0xfc00) === 0xdc00 ? most - 1 : most;
}

/** Keeps the blocks of one text and extends them as the text grows; another text starts anew. */
export class BlockLexer {
  #text = "";
  #streaming = false;
  #stable: Block[] = [];
  #stableEnd = 0;
  #tail: Block[] = [];
  /** Definitions of what is stable; those of the tail count for the tail alone. */
  #links: Links = {};
  /** Stable blocks by the labels that they may refer to. */
  #referring = new Map<string, Set<number>>();
  #fence: Fence | null = null;
  #growth: Growth | null = null;
  #series = 0;

  /** Whether the text has had a footnote. */
  hasNotes = false;

  /** The link definitions seen so far, by label. */
  get links(): Links {
    return this.#links;
  }

  /**
   * Lexes what is new.
   *
   * @param text the whole text so far.
   * @param streaming whether more may follow; false closes the text.
   * @param isDue returns true when there is no time for more than what is begun.
   */
  update(text: string, streaming: boolean, isDue: () => boolean = () => false): Blocks {
    const before = this.#stable.length;
    const appended = beginsWith(text, this.#text);
    if (appended && text.length === this.#text.length && streaming === this.#streaming && this.#text !== "") {
      return { stable: this.#stable, tail: this.#tail, unchanged: before + this.#tail.length, more: false };
    }
    // A text that was closed and continues begins anew: its last blocks may become something else.
    if (!appended ? !beginsWith(text, this.#text.slice(0, this.#stableEnd)) || !this.#streaming : !this.#streaming) this.#reset();
    const kept = this.#stable.length;
    if (!appended) this.#growth = null;
    if (this.#fence && appended && streaming && !closesFence(text, this.#text.length, this.#fence.marker)) {
      return this.#growFence(text, before);
    }
    const { redefined, end } = this.#lexTail(text, streaming, isDue);
    const more = end < text.length;
    this.#text = more ? text.slice(0, end) : text;
    this.#streaming = streaming || more;
    return { stable: this.#stable, tail: this.#tail, unchanged: Math.min(before, kept, redefined), more };
  }

  #reset(): void {
    this.#stable = [];
    this.#stableEnd = 0;
    this.#tail = [];
    this.#links = {};
    this.#referring = new Map();
    this.#fence = null;
    this.#growth = null;
  }

  #growFence(text: string, before: number): Blocks {
    const last = this.#tail.at(-1)!;
    const grown: Block = { ...last, end: text.length, openCode: text.slice(this.#fence!.codeStart) };
    this.#tail = [...this.#tail.slice(0, -1), grown];
    this.#text = text;
    return { stable: this.#stable, tail: this.#tail, unchanged: before + this.#tail.length - 1, more: false };
  }

  /** Where the text ends that is lexed next; code is always read whole. */
  #end(text: string): number {
    const start = this.#growth?.start === this.#stableEnd ? this.#growth.from : this.#stableEnd;
    const fence = openFence(text.slice(start, start + 1_000), start);
    if (!fence) return windowEnd(text, start);
    const closing = new RegExp(`^ {0,3}${fence.marker[0] === "`" ? "`" : "~"}{${fence.marker.length},}[ \\t]*(?:\\n|$)`, "mg");
    closing.lastIndex = fence.codeStart;
    const match = closing.exec(text);
    return match ? windowEnd(text, match.index + match[0].length) : text.length;
  }

  /** Lexes from the last stable block on; returns how far, and the first stable block that a new link changes. */
  #lexTail(text: string, streaming: boolean, isDue: () => boolean): { redefined: number; end: number } {
    let redefined = this.#stable.length;
    this.#fence = null;
    for (;;) {
      const end = this.#end(text);
      const isCut = end < text.length;
      const open = streaming || isCut;
      const part = isCut ? text.slice(0, end) : text;
      const tokens = this.#lexGrown(part) ?? this.#lexRest(part, streaming && !isCut);
      const settled = this.#settle(tokens, part, open, isCut);
      const links = linksOf(tokens.filter((token, place) => place < settled || isFirm(token, tokens[place + 1])));
      // A definition that may still become something else makes no link of what is settled.
      const loose = new Set(Object.keys(linksOf(tokens.slice(settled))).filter((label) => !(label in links) && !(label in this.#links)));
      const { tail, passed } = this.#take(tokens, part, settled, streaming && !isCut, links, loose);
      redefined = Math.min(redefined, this.#define(links));
      this.#tail = tail;
      if (isCut && isDue()) return { redefined, end };
      if (isCut && passed) continue;
      if (!streaming) this.#growth = null;
      return { redefined, end: text.length };
    }
  }

  #lexRest(text: string, streaming: boolean): TokensList {
    const rest = text.slice(this.#stableEnd);
    const tokens = lex(rest, this.#links, streaming);
    // What a large block settles is not open.
    return streaming && isLarge(tokens.findLast((token) => token.type !== "space")) ? lex(rest, this.#links, false) : tokens;
  }

  /** How many tokens no later text changes; what is cut always has some, or its large block grows. */
  #settle(tokens: readonly Token[], text: string, open: boolean, isCut: boolean): number {
    if (!open) return tokens.length;
    const solid = tokens.map((token, place) => (token.type === "space" ? -1 : place)).filter((place) => place >= 0);
    const last = solid.at(-1) ?? 0;
    // The last two may still become something else: a paragraph a heading or a table, a list a longer list.
    // A large list or table is what it is, and so is all that stands before it.
    const settled = isLarge(tokens[last]) ? last : (solid.at(-2) ?? 0);
    if (settled > 0 || !isCut) return settled;
    if (solid.length > 1) return last;
    if (!isLarge(tokens[0])) return tokens.length;
    const before = this.#growth?.start === this.#stableEnd ? this.#growth.settled : -1;
    const grown = settle(tokens[0]!, text, this.#stableEnd, this.#growth?.start === this.#stableEnd ? this.#growth : null, true);
    return grown && grown.settled > before ? 0 : tokens.length;
  }

  /** Makes blocks of tokens; `passed` says that some of them are done with, or that the large one has grown. */
  #take(tokens: readonly Token[], text: string, settled: number, streaming: boolean, links: Links, loose: ReadonlySet<string>): { tail: Block[]; passed: boolean } {
    const isOpen = settled < tokens.length;
    const last = tokens.findLastIndex((token) => token.type !== "space");
    const growth = this.#growth?.from;
    const start = this.#stableEnd;
    let offset = start;
    const tail: Block[] = [];
    for (const [place, token] of tokens.entries()) {
      const begin = offset;
      offset += token.raw.length;
      const stable = place < settled;
      if (token.type !== "space") {
        const index = this.#stable.length + tail.length;
        const labels = labelsIn(stable || loose.size > 0 ? token.raw : "");
        const isLoose = labels.some((label) => loose.has(label));
        if (isOpen && place === settled) this.#grow(token, text, begin, !streaming, isLoose);
        const block = this.#block(token, index, begin, stable, streaming && place === last, text);
        if (!stable) tail.push(block);
        else {
          // What was taken for a formula that still comes, at the end of a list or quote, is none.
          const again = isLoose || (streaming && /\\[([]|\$\$/.test(token.raw) && !this.#growth);
          this.#stable.push(again ? withTokens(block, relexed(token.raw, { ...links, ...this.#links })) : block);
          for (const label of labels) this.#referring.set(label, (this.#referring.get(label) ?? new Set()).add(index));
        }
      }
      if (stable) this.#stableEnd = offset;
    }
    return { tail, passed: this.#stableEnd > start || this.#growth?.from !== growth };
  }

  #grow(token: Token, text: string, start: number, isFull: boolean, isLoose: boolean): void {
    const before = this.#growth?.start === start ? this.#growth : null;
    if (!before) this.#series += 1;
    this.#growth = isLarge(token) && !isLoose ? settle(token, text, start, before, isFull) : null;
  }

  /** Lexes what follows the settled part of a large block; the first token is the whole block. */
  #lexGrown(text: string): TokensList | null {
    const growth = this.#growth;
    if (!growth || growth.start !== this.#stableEnd) return null;
    const tokens = lex(growth.head + text.slice(growth.from), this.#links, false);
    const whole = joined(growth, tokens[0]);
    if (whole === null) {
      this.#growth = null;
      return null;
    }
    if (hasLoosened(growth, whole)) {
      this.#series += 1;
      this.#growth = { ...growth, token: withEntries(whole, entriesOf(whole)!.slice(0, growth.settled) as Parameters<typeof withEntries>[1]) };
    }
    tokens[0] = { ...whole, raw: text.slice(growth.start, growth.from + whole.raw.length - growth.head.length) } as Token;
    return tokens;
  }

  /** The large block with its last entries closed. */
  #mendGrown(token: Token, text: string, growth: Growth): Token {
    const part = growth.head + text.slice(growth.from);
    const mended = mendTail(part);
    if (mended === part) return token;
    const [first, ...more] = lex(mended, this.#links, true).filter((one) => one.type !== "space");
    return (more.length === 0 ? joined(growth, first) : null) ?? token;
  }

  #block(token: Token, index: number, start: number, stable: boolean, last: boolean, text: string): Block {
    const { raw } = token;
    const growth = this.#growth?.start === start ? this.#growth : null;
    const settled = growth?.settled ?? 0;
    const block: Block = { index, start, end: start + raw.length, raw, tokens: [token], stable, openCode: null, settled, series: this.#series, edition: 0, ...notesOf([token]) };
    if (block.notes.length > 0) this.hasNotes = true;
    if (!last) return block;
    if (growth) return { ...block, tokens: [this.#mendGrown(token, text, growth)] };
    if (token.type === "code") {
      const fence = openFence(raw, start);
      if (!fence || closesFence(raw, fence.codeStart - start, fence.marker)) return block;
      this.#fence = fence;
      return { ...block, openCode: raw.slice(fence.codeStart - start) };
    }
    if (token.type === "html" || token.type === "math" || token.type === "hr" || token.type === "plain") return block;
    const mended = mendTail(raw);
    return mended === raw ? block : { ...block, tokens: lex(mended, this.#links, true) };
  }

  /** Takes in new definitions; returns the first stable block that they change. */
  #define(links: Links): number {
    const labels = Object.keys(links).filter((label) => !(label in this.#links));
    if (labels.length === 0) return this.#stable.length;
    this.#links = { ...links, ...this.#links };
    const places = new Set(labels.flatMap((label) => [...(this.#referring.get(label) ?? [])]));
    for (const place of places) {
      const block = this.#stable[place]!;
      this.#stable[place] = withTokens({ ...block, settled: 0, edition: block.edition + 1 }, relexed(block.raw, this.#links));
    }
    return Math.min(this.#stable.length, ...places);
  }
}

function withTokens(block: Block, tokens: readonly Token[]): Block {
  return { ...block, tokens, ...notesOf(tokens) };
}

function notesOf(tokens: readonly Token[]): Pick<Block, "references" | "notes"> {
  if (!tokens.some((token) => token.raw.includes("[^"))) return { references: [], notes: [] };
  const references: string[] = [];
  const notes: NoteToken[] = [];
  walkTokens(tokens, (one) => {
    if (one.type === "noteReference") references.push((one as NoteReference).label);
    else if (one.type === "note") notes.push(one as NoteToken);
  });
  return { references, notes };
}

/** Lexes a short text that is no longer growing, link definitions included. */
export function lexOnce(source: string, links: Links = {}): TokensList {
  return lex(source, links, false);
}
