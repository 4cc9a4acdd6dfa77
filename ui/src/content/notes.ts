/** Footnotes and alerts, as GitHub writes them: `[^1]`, `[^1]: The note.`, `> [!NOTE]`. */

import type { Token, TokenizerExtension, Tokens } from "marked";

export interface NoteReference extends Tokens.Generic {
  type: "noteReference";
  label: string;
}

export interface NoteToken extends Tokens.Generic {
  type: "note";
  label: string;
  tokens: Token[];
}

const ALERT = /^\[!(note|tip|important|warning|caution)\][ \t]*(?:\n|$)/i;

export type AlertKind = "note" | "tip" | "important" | "warning" | "caution";

/** The kind of alert that the text of a quote begins with, and the length of that line. */
export function alertOf(text: string): { kind: AlertKind; length: number } | null {
  const match = ALERT.exec(text);
  return match ? { kind: match[1]!.toLowerCase() as AlertKind, length: match[0].length } : null;
}

const REFERENCE = /^\[\^([^\][\s^]{1,64})\](?!:)/;
const DEFINITION = /^ {0,3}\[\^([^\][\s^]{1,64})\]:[ \t]*/;
/** Begins another block, and so ends the paragraph of a note. */
const INTERRUPTS = /^ {0,3}(?:\[\^[^\][\s^]{1,64}\]:|#{1,6}\s|>|```|~~~|[*+-][ \t]|\d{1,9}[.)][ \t]|<|(?:[-*_][ \t]*){3,}$)/;

/** Length of a note that begins at `from`: the rest of its paragraph, and what stands below it indented. */
function lengthOfNote(source: string, from: number): number {
  let end = from;
  let isOpen = true;
  for (let start = from; start < source.length; ) {
    const next = source.indexOf("\n", start);
    const lineEnd = next < 0 ? source.length : next + 1;
    const line = source.slice(start, lineEnd);
    if (line.trim() === "") isOpen = start === from;
    else if (start === from || /^(?: {4}|\t)/.test(line)) isOpen = true;
    else if (!isOpen || INTERRUPTS.test(line)) break;
    if (line.trim() !== "" || start === from) end = lineEnd;
    start = lineEnd;
  }
  return end;
}

/** The label under which a reference and its note find each other. */
export function labelOf(label: string): string {
  return label.toLowerCase();
}

/** Marked extensions for footnotes. */
export function noteExtensions(): TokenizerExtension[] {
  return [
    {
      name: "note",
      level: "block",
      tokenizer(source: string) {
        const match = DEFINITION.exec(source);
        if (!match) return undefined;
        const raw = source.slice(0, lengthOfNote(source, match[0].length));
        const text = raw.slice(match[0].length).replace(/\n(?: {1,4}|\t)/g, "\n");
        return { type: "note", raw, label: labelOf(match[1]!), tokens: this.lexer.blockTokens(text, []) } as NoteToken;
      },
    },
    {
      name: "noteReference",
      level: "inline",
      start: (source: string) => {
        const found = source.indexOf("[^");
        return found < 0 ? undefined : found;
      },
      tokenizer: (source: string) => {
        const match = REFERENCE.exec(source);
        return match ? ({ type: "noteReference", raw: match[0], label: labelOf(match[1]!) } as NoteReference) : undefined;
      },
    },
  ] as TokenizerExtension[];
}

/** Calls for each token below some, children before what follows. */
export function walkTokens(tokens: readonly Token[], visit: (token: Token) => void): void {
  for (const token of tokens) {
    visit(token);
    const generic = token as Tokens.Generic & { items?: Token[]; header?: Tokens.TableCell[]; rows?: Tokens.TableCell[][] };
    if (generic.tokens) walkTokens(generic.tokens, visit);
    if (generic.items) walkTokens(generic.items, visit);
    for (const row of token.type === "table" ? [generic.header ?? [], ...(generic.rows ?? [])] : []) for (const cell of row) walkTokens(cell.tokens, visit);
  }
}
