/** Splits growing markdown into blocks, so that what is finished is never lexed or rendered again. */

import { Marked, Lexer, type Token, type MarkedOptions, type TokensList } from "marked";
import remend from "remend";

import { type Growth, isLarge, joined, settle } from "./growth";
import { mathExtensions } from "./math";

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
}

export interface Blocks {
  readonly stable: readonly Block[];
  readonly tail: readonly Block[];
  /** Blocks below this index are the ones of the call before. */
  readonly unchanged: number;
}

interface Fence {
  readonly marker: string;
  readonly codeStart: number;
}

const options = (open: boolean): MarkedOptions => new Marked({ gfm: true, extensions: mathExtensions(open) }).defaults;
const streamingOptions = options(true);
const finalOptions = options(false);

type Links = TokensList["links"];

function lex(source: string, links: Links, streaming: boolean): TokensList {
  const lexer = new Lexer(streaming ? streamingOptions : finalOptions);
  Object.assign(lexer.tokens.links, links);
  return lexer.lex(source);
}

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
  return remend(raw, { linkMode: "text-only", katex: false, inlineKatex: false });
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

/** Keeps the blocks of one text and extends them as the text grows; another text starts anew. */
export class BlockLexer {
  #text = "";
  #streaming = false;
  #stable: Block[] = [];
  #stableEnd = 0;
  #tail: Block[] = [];
  #links: Links = {};
  #fence: Fence | null = null;
  #growth: Growth | null = null;
  #series = 0;

  /** The link definitions seen so far, by label. */
  get links(): Links {
    return this.#links;
  }

  /**
   * Lexes what is new.
   *
   * @param text the whole text so far.
   * @param streaming whether more may follow; false closes the text.
   */
  update(text: string, streaming: boolean): Blocks {
    const before = this.#stable.length;
    const appended = beginsWith(text, this.#text);
    if (appended && text.length === this.#text.length && streaming === this.#streaming && this.#text !== "") {
      return { stable: this.#stable, tail: this.#tail, unchanged: before + this.#tail.length };
    }
    if (!appended && !beginsWith(text, this.#text.slice(0, this.#stableEnd))) this.#reset();
    const kept = this.#stable.length;
    if (!appended) this.#growth = null;
    if (this.#fence && appended && streaming && !closesFence(text, this.#text.length, this.#fence.marker)) {
      return this.#growFence(text, before);
    }
    const redefined = this.#lexTail(text, streaming);
    this.#text = text;
    this.#streaming = streaming;
    return { stable: this.#stable, tail: this.#tail, unchanged: Math.min(before, kept, redefined) };
  }

  #reset(): void {
    this.#stable = [];
    this.#stableEnd = 0;
    this.#tail = [];
    this.#links = {};
    this.#fence = null;
    this.#growth = null;
  }

  #growFence(text: string, before: number): Blocks {
    const last = this.#tail.at(-1)!;
    const grown: Block = { ...last, end: text.length, openCode: text.slice(this.#fence!.codeStart) };
    this.#tail = [...this.#tail.slice(0, -1), grown];
    this.#text = text;
    return { stable: this.#stable, tail: this.#tail, unchanged: before + this.#tail.length - 1 };
  }

  /** Lexes from the last stable block on; returns the index of the first stable block that a new link changes. */
  #lexTail(text: string, streaming: boolean): number {
    const tokens = this.#lexGrown(text, streaming) ?? lex(text.slice(this.#stableEnd), this.#links, streaming);
    const solid = tokens.map((token, place) => (token.type === "space" ? -1 : place)).filter((place) => place >= 0);
    // The last two may still become something else: a paragraph a heading or a table, a list a longer list.
    const last = solid.at(-1) ?? 0;
    // A large list or table is what it is, and so is all that stands before it.
    const settled = !streaming ? tokens.length : isLarge(tokens[last]) ? last : (solid.at(-2) ?? 0);
    let offset = this.#stableEnd;
    const tail: Block[] = [];
    this.#fence = null;
    const redefined = this.#define(tokens.links);
    for (const [place, token] of tokens.entries()) {
      const start = offset;
      offset += token.raw.length;
      const stable = place < settled;
      if (token.type !== "space") {
        const index = this.#stable.length + tail.length;
        const isFirst = streaming && place === settled;
        if (isFirst) this.#grow(token, text, start);
        const block = this.#block(token, index, start, stable, streaming && place === last, text);
        if (stable) this.#stable.push(block);
        else tail.push(block);
      }
      if (stable) this.#stableEnd = offset;
    }
    if (!streaming) this.#growth = null;
    this.#tail = tail;
    return redefined;
  }

  #grow(token: Token, text: string, start: number): void {
    const before = this.#growth?.start === start ? this.#growth : null;
    if (!before) this.#series += 1;
    this.#growth = isLarge(token) ? settle(token, text, start, before) : null;
  }

  /** Lexes what follows the settled part of a large block; the first token is the whole block. */
  #lexGrown(text: string, streaming: boolean): TokensList | null {
    const growth = this.#growth;
    if (!growth || growth.start !== this.#stableEnd) return null;
    const tokens = lex(growth.head + text.slice(growth.from), this.#links, streaming);
    const whole = joined(growth, tokens[0]);
    if (whole === null) {
      this.#growth = null;
      return null;
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
    const block: Block = { index, start, end: start + raw.length, raw, tokens: [token], stable, openCode: null, settled, series: this.#series };
    if (!last) return block;
    if (growth) return { ...block, tokens: [this.#mendGrown(token, text, growth)] };
    if (token.type === "code") {
      const fence = openFence(raw, start);
      if (!fence || closesFence(raw, fence.codeStart - start, fence.marker)) return block;
      this.#fence = fence;
      return { ...block, openCode: raw.slice(fence.codeStart - start) };
    }
    if (token.type === "html" || token.type === "math" || token.type === "hr") return block;
    const mended = mendTail(raw);
    return mended === raw ? block : { ...block, tokens: lex(mended, this.#links, true) };
  }

  #define(links: Links): number {
    const labels = Object.keys(links).filter((label) => !(label in this.#links));
    this.#links = { ...links };
    let first = this.#stable.length;
    for (const label of labels) {
      const place = this.#stable.findIndex((block) => block.raw.toLowerCase().includes(`[${label}]`));
      if (place < 0) continue;
      first = Math.min(first, place);
      this.#stable = this.#stable.map((block) =>
        block.raw.toLowerCase().includes(`[${label}]`) ? { ...block, tokens: lex(block.raw, this.#links, false) } : block,
      );
    }
    return first;
  }
}

/** Lexes a short text that is no longer growing, link definitions included. */
export function lexOnce(source: string, links: Links = {}): TokensList {
  return lex(source, links, false);
}
