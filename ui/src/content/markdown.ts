/** `<ck-markdown>`: markdown of a model, possibly still streaming in, with citations. */

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import type { Tokens } from "marked";

import type { ContentHost } from "../contracts";
import { beginsWith, type Block, BlockLexer, lexOnce, mendTail } from "./blocks";
import { numberNotes, renderNotes, showNote } from "./footnotes";
import { loadImage } from "./image";
import { type Annotation, type Citation, numberSources, placeCitations, type PlacedCitation, withoutMarks, writeMarks } from "./citations";
import { copyCode, growCode } from "./code";
import { renderFormula, renderedFormula } from "./formula";
import { markdownStyles } from "./markdownStyles";
import { entriesOf, withEntries } from "./growth";
import { morphChildren } from "./morph";
import { PreviewController } from "./preview";
import { type RenderContext, renderTokens } from "./render";
import { growSections, type Sections } from "./sections";
import "./sources";
import { plainBlock } from "./plain";
import { later, pause } from "./queue";
import { defaultHost } from "./strings";
import { base } from "./tokens";
import { readLink } from "./urls";
import { StyledElement } from "./styledElement";

interface Shown extends Sections {
  readonly element: HTMLElement;
  raw: string;
  signature: string;
  /** Numbers of the footnotes that it refers to. */
  numbers: string;
}

/** Blocks in which a mark inside the source would change what it is. */
const WHOLE = new Set(["code", "html", "hr", "math"]);

/** An update that takes longer, in milliseconds, makes the next one wait. */
const BUSY = 12;

/** Time that one task of the page gives to a long text, in milliseconds: the rest of it follows in others. */
const BUDGET = 20;

/** Blocks that are laid out together. */
const CHUNK = 48;

/** Line ends as markdown counts them, at equal length, so that places in the text stay what they are. */
function normalise(text: string): string {
  const lines = text.includes("\r") ? text.replace(/\r\n/g, " \n").replaceAll("\r", "\n") : text;
  return withoutMarks(lines);
}

function numbersOf(signature: string): string {
  return signature.split(" ", 3)[2] ?? "";
}

/**
 * Shows markdown.
 *
 * Finished blocks keep their nodes while text is appended; only what is new is lexed and rendered.
 * Fires `ck-rendered` (bubbling, composed) after each change of its height that a shell may want to follow.
 */
export class CkMarkdown extends StyledElement {
  static override properties = {
    text: { attribute: false },
    streaming: { type: Boolean, reflect: true },
    annotations: { attribute: false },
    sources: { type: Boolean },
    host: { attribute: false },
  };
  static override styles = [base, markdownStyles];

  /** The whole text so far. */
  declare text: string;
  /** More text may follow. */
  declare streaming: boolean;
  declare annotations: readonly Annotation[];
  /** Whether the list of sources is shown below; true by default. */
  declare sources: boolean;
  declare host: ContentHost | null;

  readonly #lexer = new BlockLexer();
  readonly #root = document.createElement("div");
  readonly #preview = new PreviewController(this, () => this.#host, (number) => this.#citations.get(number) ?? null);
  #shown: Shown[] = [];
  #citations: ReadonlyMap<number, Citation> = new Map();
  #placed: PlacedCitation[] = [];
  #stale = false;
  #cost = 0;
  #given = "";
  #normal = "";
  /** Blocks that are rendered; those after them follow in another task. */
  #done = 0;
  /** Settles when the rest of a long text may follow. */
  #rest: Promise<void> | null = null;
  #notes: ReadonlyMap<string, number> = new Map();
  #noteBox: HTMLElement | null = null;

  constructor() {
    super();
    this.text = "";
    this.streaming = false;
    this.annotations = [];
    this.sources = true;
    this.host = null;
    this.#root.className = "root";
    this.#root.addEventListener("click", (event) => this.#click(event));
  }

  get #host(): ContentHost {
    return this.host ?? defaultHost;
  }

  /** One huge block, such as a list of thousands, is rendered whole for each delta: such deltas are taken together. */
  protected override async scheduleUpdate(): Promise<void> {
    if (this.#rest) await this.#rest;
    else if (this.streaming && this.#cost > BUSY) await new Promise((resolve) => setTimeout(resolve, Math.min(500, this.#cost * 2)));
    const before = performance.now();
    super.scheduleUpdate();
    this.#cost = performance.now() - before;
  }

  /** Settles when all of the text is shown, which a long one is in several tasks. */
  protected override async getUpdateComplete(): Promise<boolean> {
    let done = await super.getUpdateComplete();
    while (this.#rest) {
      await this.#rest;
      done = await super.getUpdateComplete();
    }
    return done;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    const text = this.#read(this.text ?? "");
    const annotated = changed.has("annotations");
    if (annotated) this.#citations = new Map(numberSources((this.annotations ?? []).map((one) => one.source)).map((one) => [one.number, one]));
    if (annotated || changed.has("text")) this.#placed = this.annotations?.length ? placeCitations(text, this.annotations) : [];
    if (changed.has("host")) this.#forget(changed.get("host"));
    this.#rest = null;
    if (this.#show(text, annotated)) return;
    this.#rest = pause();
    // One that is asked for while an update is under way would be part of it.
    void Promise.resolve().then(() => this.requestUpdate());
  }

  /** Looks only at what is new: a long answer is not searched again for each delta. */
  #read(given: string): string {
    // A carriage return at the end is read again together with what follows it.
    const known = beginsWith(given, this.#given) && !this.#given.endsWith("\r") ? this.#given.length : 0;
    const added = known === 0 ? given : given.slice(known);
    const read = normalise(added);
    // Texts that need no change, nearly all of them, are not put together anew.
    const plain = read === added && (known === 0 || this.#normal === this.#given);
    this.#normal = plain ? given : known === 0 ? read : this.#normal + read;
    this.#given = given;
    return this.#normal;
  }

  /** Another locale or another list of domains renders everything again; a host that says the same does not. */
  #forget(before: ContentHost | null | undefined): void {
    const now = this.#host;
    const old = before ?? defaultHost;
    const domains = (host: ContentHost): string => JSON.stringify([host.allowedImageDomains, host.origins]);
    if (old.locale === now.locale && domains(old) === domains(now)) return;
    for (const one of this.#shown) one.signature = "stale";
    this.#stale = true;
  }

  /** Shows as much as there is time for; returns whether that is all. */
  #show(text: string, annotated: boolean): boolean {
    const begun = performance.now();
    const isDue = (): boolean => performance.now() - begun > BUDGET;
    const { stable, tail, unchanged, more } = this.#lexer.update(text, this.streaming, isDue);
    const streaming = this.streaming || more;
    const again = this.#number([stable, tail]) || annotated || this.#stale || this.#placed.length > 0;
    this.#stale = false;
    const from = again ? 0 : Math.min(unchanged, this.#done);
    const total = stable.length + tail.length;
    let cursor = 0;
    let index = from;
    for (; index < total && (index <= this.#done || !isDue()); index += 1) {
      const block = index < stable.length ? stable[index]! : tail[index - stable.length]!;
      const citations: PlacedCitation[] = [];
      while (cursor < this.#placed.length && (this.#placed[cursor]!.position <= block.end || index === total - 1)) {
        citations.push(this.#placed[cursor]!);
        cursor += 1;
      }
      this.#showBlock(block, citations, streaming);
    }
    this.#done = index;
    if (more || index < total) return false;
    while (this.#shown.length > total) {
      const { element } = this.#shown.pop()!;
      const chunk = element.parentElement!;
      element.remove();
      if (chunk.childElementCount === 0) chunk.remove();
    }
    this.#showNotes([stable, tail]);
    if (!streaming) this.#showSomething(text);
    return true;
  }

  /** A text that shows nothing, such as tags alone, is shown as it was written. */
  #showSomething(text: string): void {
    const [first] = this.#shown;
    if (!first || text.trim() === "" || this.#root.textContent?.trim() || this.#root.querySelector("hr, img, table, input, button")) return;
    first.element.replaceChildren(plainBlock(text));
    first.signature = "stale";
  }

  /** Numbers the footnotes anew; returns whether a number has changed. */
  #number(blocks: readonly (readonly Block[])[]): boolean {
    if (!this.#lexer.hasNotes) return false;
    const notes = numberNotes(blocks);
    const before = this.#notes;
    if (notes.size === before.size && [...notes].every(([label, number]) => before.get(label) === number)) return false;
    this.#notes = notes;
    return true;
  }

  #showNotes(blocks: readonly (readonly Block[])[]): void {
    if (this.#notes.size === 0) {
      this.#noteBox?.remove();
      this.#noteBox = null;
      return;
    }
    this.#noteBox = renderNotes(blocks, this.#notes, this.#noteBox, this.#host, (tokens) => {
      const fragment = renderTokens(tokens, this.#context(null));
      this.#placeFormulas(fragment);
      return fragment;
    });
    this.#root.append(this.#noteBox);
  }

  #context(openCode: string | null): RenderContext {
    return { host: this.#host, citations: this.#citations, openCode, notes: this.#notes };
  }

  /** Blocks stand in groups, so that a browser lays out the last group only, however long the answer is. */
  #chunk(): Element {
    const last = this.#noteBox ? this.#noteBox.previousElementSibling : this.#root.lastElementChild;
    if (last && last.childElementCount < CHUNK) return last;
    const chunk = document.createElement("div");
    chunk.className = "chunk";
    this.#root.insertBefore(chunk, this.#noteBox);
    return chunk;
  }

  /** One block, whatever it holds: what cannot be rendered is shown as it was written, and the others are as they should be. */
  #showBlock(block: Block, citations: readonly PlacedCitation[], streaming: boolean): void {
    const numbers = block.references.map((label) => this.#notes.get(label) ?? "-").join();
    const signature = `${block.stable || !streaming} ${block.edition} ${numbers} ${citations.map((one) => `${one.number}@${one.position}`).join(" ")}`;
    try {
      this.#update(block, citations, streaming, signature);
    } catch (error) {
      this.#host.onLog("markdown.failed", { message: String(error) });
      this.#fill(block, plainBlock(block.openCode ?? block.raw), signature);
    }
  }

  #update(block: Block, citations: readonly PlacedCitation[], streaming: boolean, signature: string): void {
    const shown = this.#shown[block.index];
    if (shown && block.openCode !== null && shown.signature === "open" && growCode(shown.element, block.openCode)) return;
    if (shown && shown.raw === block.raw && shown.signature === signature && block.openCode === null) return;
    if (shown && this.#growBlock(shown, block, citations, signature)) return;
    const fragment = this.#render(block, citations, streaming);
    this.#placeFormulas(fragment);
    const filled = this.#fill(block, fragment, block.openCode === null ? signature : "open");
    filled.settled = citations.length === 0 ? block.settled : 0;
    filled.series = block.series;
  }

  #fill(block: Block, fragment: DocumentFragment, signature: string): Shown {
    let shown = this.#shown[block.index];
    if (!shown) {
      const element = document.createElement("div");
      element.className = "block";
      this.#chunk().append(element);
      shown = { element, raw: "", signature: "", numbers: "", settled: 0, base: 0, series: 0 };
      this.#shown[block.index] = shown;
    }
    const kind = block.tokens[0]?.type ?? "";
    if (shown.element.dataset["kind"] !== kind) shown.element.dataset["kind"] = kind;
    morphChildren(shown.element, fragment);
    shown.raw = block.raw;
    shown.settled = 0;
    shown.base = 0;
    shown.signature = signature;
    shown.numbers = numbersOf(signature);
    return shown;
  }

  /** Renders of a large list or table only what may have changed; false where all of it has to be. */
  #growBlock(shown: Shown, block: Block, citations: readonly PlacedCitation[], signature: string): boolean {
    const [token] = block.tokens;
    const entries = entriesOf(token);
    if (!token || !entries || shown.settled === 0 || block.settled === 0 || shown.series !== block.series || shown.signature === "stale" || citations.length > 0) return false;
    // The numbers of footnotes in what is settled are what they were.
    if (!numbersOf(signature).startsWith(shown.numbers)) return false;
    const rest = withEntries(token, entries.slice(shown.settled) as Parameters<typeof withEntries>[1]);
    const fragment = renderTokens([rest], this.#context(null));
    this.#placeFormulas(fragment);
    if (!growSections(shown.element, shown, token as Tokens.List | Tokens.Table, fragment)) return false;
    shown.raw = block.raw;
    shown.settled = Math.max(shown.settled, block.settled);
    shown.signature = signature;
    shown.numbers = numbersOf(signature);
    return true;
  }

  #render(block: Block, citations: readonly PlacedCitation[], streaming: boolean): DocumentFragment {
    const context = this.#context(block.openCode);
    if (citations.length === 0) return renderTokens(block.tokens, context);
    const type = block.tokens[0]?.type ?? "";
    if (WHOLE.has(type)) {
      const fragment = renderTokens(block.tokens, context);
      fragment.append(renderTokens([{ type: "text", raw: "", text: writeMarks("", 0, citations) }], context));
      return fragment;
    }
    const marked = writeMarks(block.raw, block.start, citations);
    const growing = streaming && !block.stable;
    return renderTokens(lexOnce(growing ? mendTail(marked) : marked, this.#lexer.links), context);
  }

  #placeFormulas(fragment: DocumentFragment): void {
    for (const node of fragment.querySelectorAll<HTMLElement>("[data-math]")) {
      const tex = node.textContent ?? "";
      const display = node.dataset["math"] === "display";
      const known = renderedFormula(tex, display);
      if (known) {
        node.replaceChildren(known);
        node.classList.add("done");
      }
      if (known === undefined) later(() => this.#renderFormula(node, tex, display));
      if (known !== null) node.dataset["tex"] = tex;
    }
  }

  async #renderFormula(node: HTMLElement, tex: string, display: boolean): Promise<void> {
    try {
      const formula = await renderFormula(tex, display);
      if (formula) node.replaceChildren(formula);
      node.classList.add(formula ? "done" : "failed");
    } catch {
      this.#host.onLog("math.unavailable");
    }
  }

  #click(event: Event): void {
    const target = event.target instanceof Element ? event.target : null;
    const copy = target?.closest<HTMLElement>("button.copy");
    if (copy) void copyCode(copy, this.#host);
    const deep = target?.closest<HTMLElement>("[data-deep]");
    if (deep) this.#follow(deep, event as MouseEvent);
    const image = target?.closest<HTMLElement>("[data-image]");
    if (image) loadImage(image);
    const note = target?.closest<HTMLElement>("[data-note], [data-note-back]");
    if (note) showNote(this.#root, note);
    const chip = target?.closest<HTMLElement>("button[data-citation]");
    const source = chip ? this.#citations.get(Number(chip.dataset["citation"]))?.source : undefined;
    if (source?.type === "entity") this.#host.entities?.onClick?.(source);
  }

  /** The application has the first word on a deep link; a reader who opens it elsewhere wants the address. */
  #follow(deep: HTMLElement, event: MouseEvent): void {
    const link = readLink(deep.dataset["deep"] ?? "");
    if (link.kind !== "deep" || (deep.nodeName === "A" && (event.ctrlKey || event.metaKey || event.shiftKey))) return;
    if (this.#host.onDeepLink(link.name, link.data) === true) event.preventDefault();
  }

  protected override render(): TemplateResult {
    const listed = this.sources && !this.streaming && this.#citations.size > 0;
    return html`${this.#root}${listed
      ? html`<ck-sources part="sources" exportparts="sources-toggle, source" .sources=${[...this.#citations.values()].map((one) => one.source)} .host=${this.#host}></ck-sources>`
      : nothing}${this.#preview.render()}`;
  }

  protected override updated(): void {
    this.dispatchEvent(new CustomEvent("ck-rendered", { bubbles: true, composed: true }));
  }
}

if (!customElements.get("ck-markdown")) customElements.define("ck-markdown", CkMarkdown);

declare global {
  interface HTMLElementTagNameMap {
    "ck-markdown": CkMarkdown;
  }
}
