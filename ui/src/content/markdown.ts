/** `<ck-markdown>`: markdown of a model, possibly still streaming in, with citations. */

import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import type { Tokens } from "marked";

import type { ContentHost } from "../contracts";
import { beginsWith, type Block, BlockLexer, lexOnce, mendTail } from "./blocks";
import { type Annotation, type Citation, numberSources, placeCitations, type PlacedCitation, withoutMarks, writeMarks } from "./citations";
import { copyCode, growCode } from "./code";
import { renderFormula, renderedFormula } from "./formula";
import { markdownStyles } from "./markdownStyles";
import { entriesOf, withEntries } from "./growth";
import { morphChildren } from "./morph";
import { PreviewController } from "./preview";
import { renderTokens } from "./render";
import { growSections, type Sections } from "./sections";
import "./sources";
import { defaultHost } from "./strings";
import { base } from "./tokens";
import { readLink } from "./urls";

interface Shown extends Sections {
  readonly element: HTMLElement;
  raw: string;
  signature: string;
}

/** Blocks in which a mark inside the source would change what it is. */
const WHOLE = new Set(["code", "html", "hr", "math"]);

/** An update that takes longer, in milliseconds, makes the next one wait. */
const BUSY = 12;

/** Blocks that are laid out together. */
const CHUNK = 48;

/** Line ends as markdown counts them, at equal length, so that places in the text stay what they are. */
function normalise(text: string): string {
  const lines = text.includes("\r") ? text.replace(/\r\n/g, " \n").replaceAll("\r", "\n") : text;
  return withoutMarks(lines);
}

/**
 * Shows markdown.
 *
 * Finished blocks keep their nodes while text is appended; only what is new is lexed and rendered.
 * Fires `ck-rendered` (bubbling, composed) after each change of its height that a shell may want to follow.
 */
export class CkMarkdown extends LitElement {
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
    if (this.streaming && this.#cost > BUSY) await new Promise((resolve) => setTimeout(resolve, Math.min(500, this.#cost * 2)));
    const before = performance.now();
    super.scheduleUpdate();
    this.#cost = performance.now() - before;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    const text = this.#read(this.text ?? "");
    const annotated = changed.has("annotations");
    if (annotated) this.#citations = new Map(numberSources((this.annotations ?? []).map((one) => one.source)).map((one) => [one.number, one]));
    if (annotated || changed.has("text")) this.#placed = this.annotations?.length ? placeCitations(text, this.annotations) : [];
    if (changed.has("host")) this.#forget(changed.get("host"));
    this.#show(text, annotated);
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
    const domains = (host: ContentHost): string => JSON.stringify(host.allowedImageDomains);
    if (old.locale === now.locale && domains(old) === domains(now)) return;
    for (const one of this.#shown) one.signature = "stale";
    this.#stale = true;
  }

  #show(text: string, annotated: boolean): void {
    const { stable, tail, unchanged } = this.#lexer.update(text, this.streaming);
    const again = annotated || this.#stale || this.#placed.length > 0;
    this.#stale = false;
    const from = again ? 0 : Math.min(unchanged, this.#shown.length);
    const total = stable.length + tail.length;
    let cursor = 0;
    for (let index = from; index < total; index += 1) {
      const block = index < stable.length ? stable[index]! : tail[index - stable.length]!;
      const citations: PlacedCitation[] = [];
      while (cursor < this.#placed.length && (this.#placed[cursor]!.position <= block.end || index === total - 1)) {
        citations.push(this.#placed[cursor]!);
        cursor += 1;
      }
      this.#showBlock(block, citations);
    }
    while (this.#shown.length > total) {
      const { element } = this.#shown.pop()!;
      const chunk = element.parentElement!;
      element.remove();
      if (chunk.childElementCount === 0) chunk.remove();
    }
  }

  /** Blocks stand in groups, so that a browser lays out the last group only, however long the answer is. */
  #chunk(): Element {
    const last = this.#root.lastElementChild;
    if (last && last.childElementCount < CHUNK) return last;
    const chunk = document.createElement("div");
    chunk.className = "chunk";
    this.#root.append(chunk);
    return chunk;
  }

  #showBlock(block: Block, citations: readonly PlacedCitation[]): void {
    let shown = this.#shown[block.index];
    const signature = `${block.stable || !this.streaming} ${citations.map((one) => `${one.number}@${one.position}`).join(" ")}`;
    if (shown && block.openCode !== null && shown.signature === "open" && growCode(shown.element, block.openCode)) return;
    if (shown && shown.raw === block.raw && shown.signature === signature && block.openCode === null) return;
    if (shown && this.#growBlock(shown, block, citations)) return;
    const fragment = this.#render(block, citations);
    if (!shown) {
      const element = document.createElement("div");
      element.className = "block";
      this.#chunk().append(element);
      shown = { element, raw: "", signature: "", settled: 0, base: 0, series: 0 };
      this.#shown[block.index] = shown;
    }
    const kind = block.tokens[0]?.type ?? "";
    if (shown.element.dataset["kind"] !== kind) shown.element.dataset["kind"] = kind;
    this.#placeFormulas(fragment);
    morphChildren(shown.element, fragment);
    shown.raw = block.raw;
    shown.settled = citations.length === 0 ? block.settled : 0;
    shown.base = 0;
    shown.series = block.series;
    shown.signature = block.openCode === null ? signature : "open";
  }

  /** Renders of a large list or table only what may have changed; false where all of it has to be. */
  #growBlock(shown: Shown, block: Block, citations: readonly PlacedCitation[]): boolean {
    const [token] = block.tokens;
    const entries = entriesOf(token);
    if (!token || !entries || shown.settled === 0 || block.settled === 0 || shown.series !== block.series || shown.signature === "stale" || citations.length > 0) return false;
    const rest = withEntries(token, entries.slice(shown.settled) as Parameters<typeof withEntries>[1]);
    const fragment = renderTokens([rest], { host: this.#host, citations: this.#citations, openCode: null });
    this.#placeFormulas(fragment);
    if (!growSections(shown.element, shown, token as Tokens.List | Tokens.Table, fragment)) return false;
    shown.raw = block.raw;
    shown.settled = Math.max(shown.settled, block.settled);
    shown.signature = `${block.stable || !this.streaming} `;
    return true;
  }

  #render(block: Block, citations: readonly PlacedCitation[]): DocumentFragment {
    const context = { host: this.#host, citations: this.#citations, openCode: block.openCode };
    if (citations.length === 0) return renderTokens(block.tokens, context);
    const type = block.tokens[0]?.type ?? "";
    if (WHOLE.has(type)) {
      const fragment = renderTokens(block.tokens, context);
      fragment.append(renderTokens([{ type: "text", raw: "", text: writeMarks("", 0, citations) }], context));
      return fragment;
    }
    const marked = writeMarks(block.raw, block.start, citations);
    const growing = this.streaming && !block.stable;
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
      if (known === undefined) void this.#renderFormula(node, tex, display);
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
    if (deep) {
      const link = readLink(deep.dataset["deep"] ?? "");
      if (link.kind === "deep") this.#host.onDeepLink(link.name, link.data);
    }
    const chip = target?.closest<HTMLElement>("button[data-citation]");
    const source = chip ? this.#citations.get(Number(chip.dataset["citation"]))?.source : undefined;
    if (source?.type === "entity") this.#host.entities?.onClick?.(source);
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
