/** Builds nodes from lexed markdown. Text only ever becomes text; of raw HTML what is on a list. */

import type { Token, Tokens } from "marked";

import type { ContentHost } from "../contracts";
import { type Citation, splitMarks, takeMarks } from "./citations";
import { citationChip } from "./chip";
import { codeBlock } from "./code";
import { alertBox } from "./alert";
import { element, linkElement } from "./dom";
import { decodeEntities } from "./entities";
import { imageElement } from "./image";
import { readMarkup } from "./markup";
import type { MathToken } from "./math";
import { setKey } from "./morph";
import type { AlertKind, NoteReference } from "./notes";
import { plainBlock } from "./plain";
import { readLink } from "./urls";

export interface RenderContext {
  readonly host: ContentHost;
  readonly citations: ReadonlyMap<number, Citation>;
  /** Code of a fence that is still open. */
  readonly openCode: string | null;
  /** Numbers of the footnotes that there are, by label. */
  readonly notes: ReadonlyMap<string, number>;
}

/** Inline tags inside of each other; what lies deeper stands in the deepest of them. */
const DEEPEST_TAG = 20;

const INLINE_TAGS = new Set("b i em strong u s del ins sub sup kbd mark small q".split(" "));

class Renderer {
  readonly #context: RenderContext;
  /** Inside of a list or a quote, which finds its direction by all of its text. */
  #nested = 0;

  constructor(context: RenderContext) {
    this.#context = context;
  }

  blocks(tokens: readonly Token[], parent: Node): void {
    for (const token of tokens) this.#block(token, parent);
  }

  get #direction(): Record<string, string> {
    return this.#nested > 0 ? {} : { dir: "auto" };
  }

  #inside(tokens: readonly Token[], parent: Node): void {
    this.#nested += 1;
    this.blocks(tokens, parent);
    this.#nested -= 1;
  }

  #block(token: Token, parent: Node): void {
    switch (token.type) {
      case "space":
      case "def":
      case "note":
        return;
      case "plain":
        parent.appendChild(plainBlock(takeMarks(token.raw).text));
        return;
      case "paragraph":
        parent.appendChild(this.#filled(element("p", this.#direction), token.tokens ?? []));
        return;
      case "heading": {
        const level = Math.min(6, Math.max(1, (token as Tokens.Heading).depth)) as 1 | 2 | 3 | 4 | 5 | 6;
        parent.appendChild(this.#filled(element(`h${level}`, this.#direction), token.tokens ?? []));
        return;
      }
      case "code": {
        const { text, numbers } = takeMarks(this.#context.openCode ?? token.text);
        const { text: language } = takeMarks((token as Tokens.Code).lang ?? "");
        parent.appendChild(codeBlock(text, language, this.#context.openCode !== null, this.#context.host));
        this.#chips(numbers, parent);
        return;
      }
      case "hr":
        parent.appendChild(element("hr"));
        return;
      case "blockquote": {
        const { alert } = token as Tokens.Blockquote & { alert?: AlertKind };
        const quote = alert ? alertBox(alert, token.text.replace(/^[^\n]*/, ""), this.#context.host) : element("blockquote", this.#direction);
        this.#inside(token.tokens ?? [], quote);
        parent.appendChild(quote);
        return;
      }
      case "list":
        parent.appendChild(this.#list(token as Tokens.List));
        return;
      case "table":
        parent.appendChild(this.#table(token as Tokens.Table));
        return;
      case "html": {
        const { text, numbers } = takeMarks(token.text);
        const kept = readMarkup(text);
        for (const child of kept.children) if (!child.hasAttribute("dir")) child.setAttribute("dir", "auto");
        if (kept.textContent?.trim() || kept.children.length > 0) parent.appendChild(kept);
        this.#chips(numbers, parent);
        return;
      }
      case "math":
        this.#math(token as MathToken, parent);
        return;
      case "text":
        if (token.tokens) this.inline(token.tokens, parent);
        else this.#text(token.text, parent);
        return;
      default:
        this.inline([token], parent);
    }
  }

  #filled<Kind extends Node>(node: Kind, tokens: readonly Token[]): Kind {
    this.inline(tokens, node);
    return node;
  }

  #list(token: Tokens.List): HTMLElement {
    const list = element(token.ordered ? "ol" : "ul", this.#direction);
    if (token.ordered && typeof token.start === "number" && token.start !== 1) list.setAttribute("start", String(token.start));
    for (const item of token.items) {
      const entry = element("li", item.task ? { class: "task" } : {});
      this.#inside(item.tokens, entry);
      list.appendChild(entry);
    }
    return list;
  }

  #table(token: Tokens.Table): HTMLElement {
    const row = (cells: readonly Tokens.TableCell[], name: "th" | "td"): HTMLElement => {
      const line = element("tr");
      for (const [place, cell] of cells.entries()) {
        const align = token.align[place];
        const attributes: Record<string, string> = name === "th" ? { scope: "col" } : {};
        if (align) attributes["class"] = `align-${align}`;
        line.appendChild(this.#filled(element(name, attributes), cell.tokens));
      }
      return line;
    };
    const table = element("table", this.#direction, element("thead", {}, row(token.header, "th")));
    if (token.rows.length > 0) table.append(element("tbody", {}, ...token.rows.map((cells) => row(cells, "td"))));
    const label = this.#context.host.translate("table.label");
    return element("div", { class: "table", part: "table", role: "group", tabindex: "0", "aria-label": label }, table);
  }

  #math(token: MathToken, parent: Node): void {
    const { text: tex, numbers } = takeMarks(token.tex);
    const node = element("span", { class: token.display ? "math display" : "math", dir: "ltr" }, tex.trim());
    if (!token.open) {
      node.dataset["math"] = token.display ? "display" : "inline";
      setKey(node, `${token.display} ${tex}`);
    }
    parent.appendChild(node);
    this.#chips(numbers, parent);
  }

  inline(tokens: readonly Token[], parent: Node): void {
    const open: Node[] = [parent];
    const here = (): Node => open.at(-1)!;
    for (const token of tokens) {
      if (token.type === "html") this.#tag(token.text, open);
      else this.#inline(token, here());
    }
  }

  /** Inline HTML comes as single tags: known ones without attributes open and close, `<br>` breaks, others stay text. */
  #tag(markup: string, open: Node[]): void {
    const { text, numbers } = takeMarks(markup);
    const match = /^<(\/?)([a-z][a-z0-9]*)\b[^>]*>$/i.exec(text);
    const name = match?.[2]?.toLowerCase() ?? "";
    if (name === "br") open.at(-1)!.appendChild(element("br"));
    else if (!match || !INLINE_TAGS.has(name)) {
      if (!text.startsWith("<!--")) this.#text(text, open.at(-1)!);
    } else if (match[1] === "") {
      const node = document.createElement(name);
      if (open.length > DEEPEST_TAG) return;
      open.at(-1)!.appendChild(node);
      open.push(node);
    } else {
      const place = open.findLastIndex((node, depth) => depth > 0 && node.nodeName.toLowerCase() === name);
      if (place > 0) open.length = place;
    }
    this.#chips(numbers, open.at(-1)!);
  }

  #inline(token: Token, parent: Node): void {
    switch (token.type) {
      case "text":
        if (token.tokens) this.inline(token.tokens, parent);
        else this.#text(decodeEntities(token.text), parent);
        return;
      case "escape":
        this.#text(token.text, parent);
        return;
      case "strong":
      case "em":
      case "del":
        parent.appendChild(this.#filled(element(token.type), token.tokens ?? []));
        return;
      case "codespan": {
        const { text, numbers } = takeMarks(token.text);
        parent.appendChild(element("code", { dir: "ltr" }, text));
        this.#chips(numbers, parent);
        return;
      }
      case "br":
        parent.appendChild(element("br"));
        return;
      case "checkbox": {
        const box = element("input", { type: "checkbox", disabled: "", "aria-hidden": "true" });
        if (token.checked) box.setAttribute("checked", "");
        const spoken = element("span", { class: "visually-hidden" }, token.checked ? "☑ " : "☐ ");
        parent.appendChild(box);
        parent.appendChild(spoken);
        return;
      }
      case "link":
        this.#link(token as Tokens.Link, parent);
        return;
      case "image":
        this.#image(token as Tokens.Image, parent);
        return;
      case "math":
        this.#math(token as MathToken, parent);
        return;
      case "noteReference":
        this.#reference(token as NoteReference, parent);
        return;
      default:
        if (token.type === "paragraph" || token.type === "list" || token.type === "code") this.#block(token, parent);
        else this.#text(takeMarks(token.raw).text, parent);
    }
  }

  #link(token: Tokens.Link, parent: Node): void {
    const { text: href, numbers } = takeMarks(token.href);
    const link = readLink(decodeEntities(href));
    const anchor = linkElement(link, this.#context.host, href);
    this.inline(token.tokens, anchor);
    const title = token.title ? takeMarks(decodeEntities(token.title)).text : "";
    if (title && anchor.nodeName === "A") anchor.setAttribute("title", title);
    parent.appendChild(anchor);
    this.#chips(numbers, parent);
  }

  #image(token: Tokens.Image, parent: Node): void {
    const { text: href, numbers } = takeMarks(token.href);
    const alt = takeMarks(decodeEntities(token.text)).text;
    parent.appendChild(imageElement(decodeEntities(href), alt, this.#context.host));
    this.#chips(numbers, parent);
  }

  #reference(token: NoteReference, parent: Node): void {
    const number = this.#context.notes.get(token.label);
    if (number === undefined) {
      this.#text(token.raw, parent);
      return;
    }
    const label = this.#context.host.translate("note.reference", { number });
    const button = element("button", { type: "button", class: "note-reference", role: "doc-noteref", "data-note": String(number), "aria-label": label, part: "note-reference" }, String(number));
    parent.appendChild(element("sup", {}, button));
  }

  #text(text: string, parent: Node): void {
    for (const part of splitMarks(text)) {
      if (typeof part === "string") parent.appendChild(document.createTextNode(part));
      else this.#chips([part], parent);
    }
  }

  #chips(numbers: readonly number[], parent: Node): void {
    for (const number of numbers) {
      const citation = this.#context.citations.get(number);
      if (citation) parent.appendChild(citationChip(citation, this.#context.host));
    }
  }
}

/** Renders the tokens of one block. */
export function renderTokens(tokens: readonly Token[], context: RenderContext): DocumentFragment {
  const fragment = document.createDocumentFragment();
  new Renderer(context).blocks(tokens, fragment);
  return fragment;
}
