/**
 * A lexer of markdown whose cost is bounded: how deep things nest, how long a run of inline text is that is read at once,
 * how many cells a table has.
 *
 * The bounds count letters, never time, so that the same text is read the same way on every machine and however it came.
 */

import { Lexer, Marked, Tokenizer, type MarkedOptions, type Token, type TokenizerExtension, type Tokens, type TokensList } from "marked";

import { mathExtensions } from "./math";
import { alertOf, noteExtensions } from "./notes";

/** Quotes and lists inside of each other; what lies deeper is text. */
const DEEPEST_BLOCK = 10;
/** Emphasis and links inside of each other; what lies deeper is text. */
const DEEPEST_INLINE = 10;
/** Letters of inline text that are read at once. */
const LONGEST_RUN = 4_000;
/** The same, weighed by the marks in it: letters times marks. */
const COSTLIEST_RUN = 100_000;
/** The cost of one block's inline text after which the rest of it is plain. */
const COSTLIEST_TEXT = 6 * COSTLIEST_RUN;
/** Letters of a word from which on each letter counts as a mark: such words are read again and again. */
const LONG_WORD = 128;
/** Columns of a table, and its cells together; one with more is text. */
const MOST_COLUMNS = 64;
const MOST_CELLS = 4_000;

const MARKS = new Set([..."*_~`[]<>!&\\|$@(){}"].map((mark) => mark.charCodeAt(0)));

/** Whether a letter may begin or end something in markdown. */
export function isMark(code: number): boolean {
  return MARKS.has(code);
}

const DATA_IMAGE = /^!\[((?:[^\][\\]|\\.){0,300})\]\((data:image\/(?:png|jpeg|jpg|webp|gif|avif)(?:;base64)?,[\w+/=%-]+)\)/;

/** Images that are in their address: read first, for other rules would go over their letters again and again. */
const dataImages: TokenizerExtension = {
  name: "dataImage",
  level: "inline",
  start: (source: string) => (source.includes("](data:image/") ? source.indexOf("![") : undefined),
  tokenizer: (source: string) => {
    const match = source.startsWith("![") ? DATA_IMAGE.exec(source) : null;
    return match ? ({ type: "image", raw: match[0], href: match[2]!, title: null, text: match[1]!, tokens: [] } as Tokens.Image) : undefined;
  },
} as TokenizerExtension;

interface Run {
  readonly text: string;
  readonly isPlain: boolean;
}

/** Cuts inline text into runs that can be read at once, at spaces where there are some; what begins alike is cut alike. */
export function runsOf(text: string): Run[] {
  const runs: Run[] = [];
  let [start, space, marks, word, spent, skipped] = [0, 0, 0, 0, 0, 0];
  for (let place = 0; place < text.length; place += 1) {
    const code = text.charCodeAt(place);
    if (code === 100 && text.startsWith("data:image/", place) && text.startsWith("](", place - 2)) {
      const end = text.indexOf(")", place);
      if (end > 0) {
        skipped += end - place;
        place = end;
        continue;
      }
    }
    const isSpace = code <= 32;
    word = isSpace ? 0 : word + 1;
    if (isSpace) space = place + 1;
    if (MARKS.has(code) || word > LONG_WORD) marks += 1;
    const length = place + 1 - start - skipped;
    if (length < LONGEST_RUN && length * marks < COSTLIEST_RUN) continue;
    const isLow = (text.charCodeAt(place + 1) & 0xfc00) === 0xdc00;
    const end = space - start > length / 2 ? space : place + (isLow ? 2 : 1);
    runs.push({ text: text.slice(start, end), isPlain: false });
    spent += length * marks;
    place = end - 1;
    [start, space, marks, word, skipped] = [end, end, 0, 0, 0];
    if (spent >= COSTLIEST_TEXT) {
      runs.push({ text: text.slice(start), isPlain: true });
      return runs;
    }
  }
  if (start < text.length) runs.push({ text: text.slice(start), isPlain: false });
  return runs;
}

function columnsOf(line: string): number {
  return line.split("|").length + 1;
}

/** Letters of a heading that is underlined. */
const LONGEST_HEADING = 600;

class BoundedTokenizer extends Tokenizer {
  override table(src: string): Tokens.Table | undefined {
    const end = src.indexOf("\n");
    if (end < 0 || !/^ {0,3}[|:-][|:\- \t]*(?:\n|$)/.test(src.slice(end + 1, end + 1_000))) return undefined;
    const columns = columnsOf(src.slice(0, end));
    if (columns > MOST_COLUMNS) return undefined;
    // Rows that name few cells are filled up: a table of one sign a line would be the largest.
    const most = Math.floor(MOST_CELLS / columns);
    let [rows, place] = [0, end];
    while (place >= 0 && rows <= most && !/^[ \t]*\n/.test(src.slice(place + 1, place + 80))) {
      place = src.indexOf("\n", place + 1);
      rows += 1;
    }
    return rows > most ? undefined : super.table(src);
  }

  override lheading(src: string): Tokens.Heading | undefined {
    if (src.length <= LONGEST_HEADING) return super.lheading(src);
    // Each line of a list's text asks for a heading in all that follows it.
    const end = src.lastIndexOf("\n", LONGEST_HEADING) + 1;
    return end === 0 ? undefined : super.lheading(src.slice(0, end));
  }

  #quotes = 0;

  /** Reads a container; one that the library cannot read is text, and nothing else is. */
  #contained<Found>(read: () => Found | undefined): Found | undefined {
    const { top, inLink } = this.lexer.state;
    this.#quotes += 1;
    try {
      // A line that continues a quote is read once more at each level, beside the lexer that counts them.
      return this.#quotes > DEEPEST_BLOCK * 3 ? undefined : read();
    } catch {
      Object.assign(this.lexer.state, { top, inLink });
      return undefined;
    } finally {
      this.#quotes -= 1;
    }
  }

  override list(src: string): Tokens.List | undefined {
    return this.#contained(() => super.list(src));
  }

  override blockquote(src: string): Tokens.Blockquote | undefined {
    const quote = this.#contained(() => super.blockquote(src));
    const alert = quote ? alertOf(quote.text) : null;
    if (!quote || !alert) return quote;
    return Object.assign(quote, { alert: alert.kind, tokens: this.lexer.blockTokens(quote.text.slice(alert.length), []) });
  }
}

export class BoundedLexer extends Lexer {
  #blocks = 0;
  #inlines = 0;

  override blockTokens(src: string, tokens?: Token[], lastParagraphClipped?: boolean): Token[];
  override blockTokens(src: string, tokens?: TokensList, lastParagraphClipped?: boolean): TokensList;
  override blockTokens(src: string, tokens: Token[] = [], lastParagraphClipped = false): Token[] {
    if (this.#blocks >= DEEPEST_BLOCK) {
      tokens.push({ type: "text", raw: src, text: src } as Tokens.Text);
      return tokens;
    }
    this.#blocks += 1;
    try {
      return super.blockTokens(src, tokens, lastParagraphClipped);
    } finally {
      this.#blocks -= 1;
    }
  }

  override inlineTokens(src: string, tokens: Token[] = []): Token[] {
    if (this.#inlines >= DEEPEST_INLINE) return plain(src, tokens);
    this.#inlines += 1;
    try {
      if (this.#inlines > 1) return super.inlineTokens(src, tokens);
      // A tag that another block left open is none of this one's.
      Object.assign(this.state, { inLink: false, inRawBlock: false });
      for (const run of runsOf(src)) {
        if (run.isPlain) plain(run.text, tokens);
        else super.inlineTokens(run.text, tokens);
      }
      return tokens;
    } finally {
      this.#inlines -= 1;
    }
  }
}

function plain(text: string, tokens: Token[]): Token[] {
  tokens.push({ type: "text", raw: text, text, escaped: false } as Tokens.Text);
  return tokens;
}

function optionsOf(isOpen: boolean): MarkedOptions {
  return new Marked({ gfm: true, extensions: [dataImages, ...mathExtensions(isOpen), ...noteExtensions()] }).defaults;
}

const streamingOptions = optionsOf(true);
const finalOptions = optionsOf(false);

export type Links = TokensList["links"];

/** Lexes markdown; text that cannot be read is one plain block. */
export function lex(source: string, links: Links, streaming: boolean): TokensList {
  const lexer = new BoundedLexer({ ...(streaming ? streamingOptions : finalOptions), tokenizer: new BoundedTokenizer() });
  Object.assign(lexer.tokens.links, links);
  try {
    return lexer.lex(source);
  } catch {
    const token = { type: "plain", raw: source, text: source } as Token;
    return Object.assign([token], { links: { ...links } }) as TokensList;
  }
}
