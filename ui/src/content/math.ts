/** Formulas in markdown: `\(..\)`, `\[..\]`, `$$..$$`, and `$..$` where it is no price. */

import type { TokenizerExtension, Tokens } from "marked";

export interface MathToken extends Tokens.Generic {
  type: "math";
  tex: string;
  display: boolean;
  /** The closing delimiter has not arrived yet. */
  open: boolean;
}

const INLINE_PAREN = /^\\\(((?:[^\\\n]|\\(?!\))[^\n]|\n(?!\s*\n))+?)\\\)/;
const INLINE_BRACKET = /^\\\[((?:(?!\n\s*\n)[\s\S])+?)\\\]/;
const INLINE_DISPLAY = /^\$\$((?:(?!\n\s*\n|\$\$)[\s\S])+?)\$\$/;
const INLINE_DOLLAR = /^\$((?![\s$])(?:[^$\\\n`]|\\.)*?(?<![\s\\]))\$(?![\d\w$])/;
const BLOCK = /^ {0,3}(?:\$\$((?:(?!\n\s*\n|\$\$)[\s\S])+?)\$\$|\\\[((?:(?!\n\s*\n)[\s\S])+?)\\\])[ \t]*(?:\n+|$)/;
const OPEN_BLOCK = /^ {0,3}(?:\$\$|\\\[)((?:(?!\n\s*\n|\$\$|\\\])[\s\S])*)$/;
const OPEN_INLINE = /^\\[([]((?:(?!\n\s*\n)[\s\S])*)$/;

/** "5 and also 10" between two dollar signs are prices, "2 \times 3" is a formula. */
function looksLikePrices(content: string): boolean {
  return /^[\d.,]+\s*(?:[a-z]{2,}\b|[-–—/,;:]\s*$)/i.test(content) || /^[\d.,]+[kmb]?\s+\p{L}{2,}/iu.test(content);
}

/** Finds a formula at the very beginning of `source`; null where there is none. */
export function matchInlineMath(source: string, open: boolean): Omit<MathToken, "type"> | null {
  const paren = INLINE_PAREN.exec(source);
  if (paren) return { raw: paren[0], tex: paren[1]!, display: false, open: false };
  const display = INLINE_BRACKET.exec(source) ?? INLINE_DISPLAY.exec(source);
  if (display) return { raw: display[0], tex: display[1]!, display: true, open: false };
  const dollar = INLINE_DOLLAR.exec(source);
  if (dollar && !looksLikePrices(dollar[1]!)) return { raw: dollar[0], tex: dollar[1]!, display: false, open: false };
  const pending = open ? OPEN_INLINE.exec(source) : null;
  return pending ? { raw: pending[0], tex: pending[1]!, display: source[1] === "[", open: true } : null;
}

/** Finds a formula that is a block of its own at the beginning of `source`. */
export function matchBlockMath(source: string, open: boolean): Omit<MathToken, "type"> | null {
  const closed = BLOCK.exec(source);
  if (closed) return { raw: closed[0], tex: (closed[1] ?? closed[2])!, display: true, open: false };
  const pending = open ? OPEN_BLOCK.exec(source) : null;
  return pending ? { raw: pending[0], tex: pending[1]!, display: true, open: true } : null;
}

/** Where in `source` a formula may begin; a dollar sign after a letter, digit or backslash begins none ("US$5"). */
export function nextMathStart(source: string): number | undefined {
  if (!source.includes("$") && !source.includes("\\")) return undefined;
  const found = source.search(/\\[([]|(?<![\w\\$])\$(?=[^\s])/);
  return found < 0 ? undefined : found;
}

/**
 * Marked extensions for formulas.
 *
 * @param open whether a formula without its end is one that still streams in, rather than text.
 */
export function mathExtensions(open: boolean): TokenizerExtension[] {
  const token = (match: Omit<MathToken, "type"> | null) => (match ? ({ type: "math", ...match } as MathToken) : undefined);
  return [
    {
      name: "math",
      level: "block",
      start: (source: string) => {
        if (!source.includes("$$") && !source.includes("\\[")) return undefined;
        const found = source.search(/(?<=\n) {0,3}(?:\$\$|\\\[)/);
        return found < 0 ? undefined : found;
      },
      tokenizer: (source: string) => token(matchBlockMath(source, open)),
    },
    {
      name: "math",
      level: "inline",
      start: nextMathStart,
      tokenizer: (source: string) => token(matchInlineMath(source, open)),
    },
  ] as TokenizerExtension[];
}
