/**
 * HTML that a model mixes into markdown, as nodes: a list of elements and attributes that may stay, read from left to right.
 *
 * No string is ever handed to a parser of the browser, so that nothing runs, nothing loads, no context swallows what
 * follows, and the page's Trusted Types have nothing to object to. The cost grows with the length and nothing else.
 */

import { decodeEntities } from "./entities";

const ALLOWED = new Set(
  "b i em strong u s del ins sub sup kbd mark small code pre br hr p div span blockquote q cite abbr ul ol li dl dt dd table caption thead tbody tfoot tr th td details summary h1 h2 h3 h4 h5 h6".split(" "),
);
/** Elements that only group: they become a div. */
const GROUPS = new Set("section article aside header footer main nav center figure figcaption address fieldset form".split(" "));
const ATTRIBUTES = new Set(["colspan", "rowspan", "scope", "title", "open", "start", "reversed", "dir", "lang"]);
/** Elements whose content is no markup: their source is shown as it is written. */
const SOURCES = new Set("script style textarea title xmp iframe noembed noframes plaintext template noscript".split(" "));
const VOID = new Set(["br", "hr"]);
/** Elements that end an open paragraph. */
const ENDS_PARAGRAPH = new Set("p div ul ol dl table blockquote pre hr details h1 h2 h3 h4 h5 h6".split(" "));
/** What an opening tag closes, up to the nearest of the second list. */
const CLOSES: Readonly<Record<string, readonly [closed: readonly string[], within: readonly string[]]>> = {
  li: [["li"], ["ul", "ol"]],
  dt: [["dt", "dd"], ["dl"]],
  dd: [["dt", "dd"], ["dl"]],
  td: [["td", "th"], ["tr"]],
  th: [["td", "th"], ["tr"]],
  tr: [["tr", "td", "th"], ["table"]],
  tbody: [["thead", "tbody", "tfoot"], ["table"]],
  thead: [["thead", "tbody", "tfoot"], ["table"]],
  tfoot: [["thead", "tbody", "tfoot"], ["table"]],
};

/** Elements inside of each other; what lies deeper stands in the deepest of them. */
const DEEPEST = 40;
/** Attributes of a tag; one with more is no tag. */
const MOST_ATTRIBUTES = 40;
const WIDEST_SPAN = 50;

/** Finds a mark from a place on; a mark that was once not found is never looked for again. */
class Finder {
  readonly #source: string;
  readonly #lower: string;
  readonly #gone = new Set<string>();

  constructor(source: string) {
    this.#source = source;
    this.#lower = source.toLowerCase();
  }

  find(mark: string, from: number, ignoreCase = false): number {
    if (this.#gone.has(mark)) return -1;
    const place = (ignoreCase ? this.#lower : this.#source).indexOf(mark, from);
    if (place < 0) this.#gone.add(mark);
    return place;
  }
}

interface Tag {
  readonly name: string;
  readonly isEnd: boolean;
  readonly attributes: readonly (readonly [name: string, value: string])[];
  readonly end: number;
}

const NAME = /<(\/?)([a-z][a-z0-9-]*)(?=[\s/>])/iy;
const ATTRIBUTE = /[\s/]*([^\s"'<>/=]+)(?:\s*=\s*(?:(["'])|([^\s"'=<>`]+)))?|[\s/]+/y;

/** Reads a whole tag at a place; null where there is none. */
function readTag(source: string, at: number, finder: Finder): Tag | null {
  NAME.lastIndex = at;
  const head = NAME.exec(source);
  if (!head) return null;
  const attributes: [string, string][] = [];
  let place = NAME.lastIndex;
  for (let count = 0; count <= MOST_ATTRIBUTES; count += 1) {
    if (source[place] === ">") return { name: head[2]!.toLowerCase(), isEnd: head[1] === "/", attributes, end: place + 1 };
    ATTRIBUTE.lastIndex = place;
    const match = ATTRIBUTE.exec(source);
    if (!match) return null;
    place = ATTRIBUTE.lastIndex;
    if (match[1] === undefined) continue;
    let value = match[3] ?? "";
    if (match[2] !== undefined) {
      const end = finder.find(match[2], place);
      if (end < 0) return null;
      value = source.slice(place, end);
      place = end + 1;
    }
    attributes.push([match[1].toLowerCase(), value]);
  }
  return null;
}

function setAttribute(node: Element, name: string, value: string): void {
  if (!ATTRIBUTES.has(name)) return;
  const text = decodeEntities(value);
  if (name === "dir" && !/^(?:ltr|rtl|auto)$/i.test(text)) return;
  const isSpan = name === "colspan" || name === "rowspan";
  node.setAttribute(name, isSpan ? String(Math.min(WIDEST_SPAN, Math.max(1, Math.trunc(Number(text)) || 1))) : text);
}

class Builder {
  readonly fragment = document.createDocumentFragment();
  readonly #open: Element[] = [];

  get #here(): Node {
    return this.#open.at(-1) ?? this.fragment;
  }

  text(text: string): void {
    if (text !== "") this.#here.appendChild(document.createTextNode(text));
  }

  #close(closed: readonly string[], within: readonly string[]): void {
    let keep = this.#open.length;
    for (let place = keep - 1; place >= 0; place -= 1) {
      const name = this.#open[place]!.localName;
      if (within.includes(name)) break;
      if (closed.includes(name)) keep = place;
    }
    this.#open.length = keep;
  }

  tag({ name, isEnd, attributes }: Tag): void {
    const known = ALLOWED.has(name) ? name : GROUPS.has(name) ? "div" : null;
    if (known === null) {
      const alt = name === "img" && !isEnd ? attributes.find(([attribute]) => attribute === "alt") : undefined;
      if (alt) this.text(decodeEntities(alt[1]));
      return;
    }
    if (isEnd) {
      const place = this.#open.findLastIndex((node) => node.localName === known);
      if (place >= 0) this.#open.length = place;
      return;
    }
    if (ENDS_PARAGRAPH.has(known)) this.#close(["p"], ["li", "td", "th", "blockquote", "div", "details"]);
    const closes = Object.hasOwn(CLOSES, known) ? CLOSES[known] : undefined;
    if (closes) this.#close(...closes);
    if (this.#open.length >= DEEPEST) return;
    const node = document.createElement(known);
    for (const [attribute, value] of attributes) setAttribute(node, attribute, value);
    this.#here.appendChild(node);
    if (!VOID.has(known)) this.#open.push(node);
  }
}

interface Hidden {
  readonly end: number;
  readonly text: string;
}

/** Reads a comment, declaration, instruction or CDATA section, and what it shows; null where there is none. */
function readHidden(source: string, at: number, finder: Finder): Hidden | null {
  const ends = (start: string, end: string): number | null => {
    if (!source.startsWith(start, at)) return null;
    const place = finder.find(end, at + start.length);
    return place < 0 ? null : place + end.length;
  };
  const data = ends("<![CDATA[", "]]>");
  if (data !== null) return { end: data, text: source.slice(at + 9, data - 3) };
  const other = /^<(?:![a-z]|\?)/i.test(source.slice(at, at + 3)) ? ends(source.slice(at, at + 2), ">") : null;
  const end = ends("<!--", "-->") ?? other;
  return end === null ? null : { end, text: "" };
}

/** Reads HTML; what is no tag, or none that is ever shown, is text or left out. Never throws. */
export function readMarkup(source: string): DocumentFragment {
  const builder = new Builder();
  const finder = new Finder(source);
  let from = 0;
  let at = source.indexOf("<");
  while (at >= 0) {
    let next = at + 1;
    const tag = readTag(source, at, finder);
    const hidden = tag ? null : readHidden(source, at, finder);
    if (tag || hidden) {
      builder.text(decodeEntities(source.slice(from, at)));
      next = tag ? tag.end : hidden!.end;
      if (hidden) builder.text(hidden.text);
      else if (!SOURCES.has(tag!.name)) builder.tag(tag!);
      else {
        const end = tag!.isEnd ? -1 : finder.find(`</${tag!.name}`, next, true);
        const close = end < 0 ? -1 : finder.find(">", end);
        if (close >= 0) next = close + 1;
        builder.text(source.slice(at, next));
      }
      from = next;
    }
    at = source.indexOf("<", next);
  }
  builder.text(decodeEntities(source.slice(from)));
  return builder.fragment;
}
