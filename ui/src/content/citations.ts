/** Annotations of an answer: which number each source has, and where in the text its chip stands. */

export interface UrlSource {
  type: "url";
  title: string;
  url: string;
  attribution?: string | null;
  description?: string | null;
  group?: string | null;
  timestamp?: string | null;
}

export interface FileSource {
  type: "file";
  title: string;
  filename: string;
  description?: string | null;
  group?: string | null;
  timestamp?: string | null;
}

export interface EntitySource {
  type: "entity";
  id: string;
  title: string;
  icon?: string | null;
  label?: string | null;
  inline_label?: string | null;
  description?: string | null;
  group?: string | null;
  timestamp?: string | null;
  interactive?: boolean;
  /** Whether the page may be asked for a widget to show: besides the rest (lazy), or in its place (only). */
  preview?: "lazy" | "only" | null;
  data?: Record<string, unknown>;
}

export type Source = UrlSource | FileSource | EntitySource;

export interface Annotation {
  type?: "annotation";
  source: Source;
  /** Place in the text, in UTF-16 units, after which the chip stands; null lists the source without a chip. */
  index?: number | null;
}

export interface Citation {
  readonly number: number;
  readonly source: Source;
}

export interface PlacedCitation extends Citation {
  readonly position: number;
}

function identity(source: Source): string {
  if (source.type === "url") return `url ${source.url}`;
  if (source.type === "file") return `file ${source.filename} ${source.title}`;
  return `entity ${source.id}`;
}

/** Numbers sources from 1 in the order of their first mention; the same source keeps its number. */
export function numberSources(sources: readonly Source[]): Citation[] {
  const numbers = new Map<string, Citation>();
  for (const source of sources) {
    const key = identity(source);
    if (!numbers.has(key)) numbers.set(key, { number: numbers.size + 1, source });
  }
  return [...numbers.values()];
}

/** Moves a place out of the spaces before it and after the marks that close emphasis, code and brackets. */
export function settle(text: string, index: number): number {
  let position = Math.max(0, Math.min(text.length, Math.trunc(index)));
  while (position > 0 && /\s/.test(text[position - 1]!)) position -= 1;
  while (position < text.length && position > 0 && /[*_~`)\]”’"']/.test(text[position]!)) position += 1;
  if (position < text.length && /[\udc00-\udfff]/.test(text[position]!)) position += 1;
  // A chip after the closing bar of a table row would be one cell too many.
  const row = text.slice(text.lastIndexOf("\n", position - 1) + 1, position);
  if (/^\s*\|.*\|$/.test(row)) position -= 1;
  return position;
}

/** Citations with their place in `text`, in order of place and number. */
export function placeCitations(text: string, annotations: readonly Annotation[]): PlacedCitation[] {
  const numbered = new Map(numberSources(annotations.map((one) => one.source)).map((one) => [identity(one.source), one]));
  return annotations
    .filter((one) => typeof one.index === "number")
    .map((one) => ({ ...numbered.get(identity(one.source))!, position: settle(text, one.index!) }))
    .toSorted((left, right) => left.position - right.position || left.number - right.number);
}

// Noncharacters: they may not occur in text that is exchanged, and are neither blank nor punctuation for markdown.
const OPEN = "\ufdd0";
const CLOSE = "\ufdd1";
const MARKS = /\ufdd0(\d+)\ufdd1/g;

/** Replaces, at equal length, what would be taken for a mark. */
export function withoutMarks(text: string): string {
  return /[\ufdd0\ufdd1]/.test(text) ? text.replace(/[\ufdd0\ufdd1]/g, "\ufffd") : text;
}

/** Writes marks for citations into the source of one block that begins at `start`. */
export function writeMarks(raw: string, start: number, citations: readonly PlacedCitation[]): string {
  let marked = "";
  let from = 0;
  for (const one of citations) {
    const place = Math.max(from, Math.min(raw.length, one.position - start));
    marked += `${raw.slice(from, place)}${OPEN}${one.number}${CLOSE}`;
    from = place;
  }
  return marked + raw.slice(from);
}

/** Splits text at its marks: strings and citation numbers in order. */
export function splitMarks(text: string): (string | number)[] {
  if (!text.includes(OPEN)) return text === "" ? [] : [text];
  const parts: (string | number)[] = [];
  let from = 0;
  for (const match of text.matchAll(MARKS)) {
    if (match.index > from) parts.push(text.slice(from, match.index));
    parts.push(Number(match[1]));
    from = match.index + match[0].length;
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

/** Takes marks out of text in which no chip can stand, such as code or an address. */
export function takeMarks(text: string): { text: string; numbers: number[] } {
  const parts = splitMarks(text);
  return {
    text: parts.filter((part) => typeof part === "string").join(""),
    numbers: parts.filter((part) => typeof part === "number"),
  };
}
