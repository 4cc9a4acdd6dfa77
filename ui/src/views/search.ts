/** The field that threads are searched with, and what was found. Drawn into the tree of who shows them. */

import { html, LitElement, nothing, type TemplateResult } from "lit";
import { property } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { Translate } from "../contracts";
import type { ThreadSearch } from "../controllers/search";
import { icon } from "../icons/icons";
import type { FoundItem, FoundThread, Ranges } from "../protocol/wire";
import { define } from "./base";

/** What the one who shows a search does with what happens in it. */
export interface SearchHost {
  readonly translate: Translate;
  open(threadId: string, itemId: string | null): void;
}

/** The field; nothing where the server does not say that it can search. */
export function searchField(search: ThreadSearch, t: Translate): TemplateResult | typeof nothing {
  if (!search.isOffered) return nothing;
  const clear = (event: Event): void => {
    const input = inputOf(event.currentTarget as HTMLElement);
    search.clear();
    input?.focus();
  };
  const keyed = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && search.query !== "") {
      event.preventDefault();
      event.stopPropagation();
      search.clear();
    } else if (event.key === "ArrowDown") {
      const first = rootOf(event.currentTarget as HTMLElement).querySelector<HTMLElement>("ck-found button");
      if (first) event.preventDefault();
      first?.focus();
    }
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    void search.submit();
  };
  return html`<form class="search-field" role="search" part="search" @submit=${submit}>
    ${icon("search")}
    <input type="search" name="query" dir="auto" maxlength="1000" autocomplete="off" spellcheck="false" enterkeyhint="search" aria-label=${t("history.search")} placeholder=${t("history.search")}
      .value=${search.query} @input=${(event: Event) => search.type((event.target as HTMLInputElement).value)} @keydown=${keyed} />
    ${search.query === "" ? nothing : html`<button type="button" class="icon-button small" aria-label=${t("search.clear")} title=${t("search.clear")} @click=${clear}>${icon("close")}</button>`}
  </form>`;
}

export class FoundView extends LitElement {
  @property({ attribute: false }) host!: SearchHost;
  @property({ attribute: false }) search!: ThreadSearch;
  @property({ attribute: false }) found: readonly FoundThread[] = [];
  @property({ attribute: false }) current: string | null = null;
  /** Flags of the search in one text, so that a change of one is seen. */
  @property({ attribute: false }) flags = "";
  /** Another object whenever the texts are others. */
  @property({ attribute: false }) strings: unknown;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected override render(): TemplateResult {
    const { found, host, search } = this;
    const t = host.translate;
    const { answered } = search;
    const said = answered === null || search.error ? "" : found.length === 0 ? t("search.nothing", { query: answered }) : t(search.hasMore ? "search.foundMore" : "search.found", { count: found.length });
    return html`<div class="found" part="search-results" aria-busy=${search.loading} @keydown=${this.#keyed}>
      <p class=${found.length === 0 && said !== "" ? "empty" : "visually-hidden"} role="status" dir="auto">${said}</p>
      ${search.error ? html`<p class="empty" role="alert">${t("search.failed")} <button type="button" class="button small" @click=${() => search.submit()}>${t("failure.retry")}</button></p>` : nothing}
      ${search.complete ? nothing : html`<p class="hint">${t("search.incomplete")}</p>`}
      <ul class="threads">${repeat(found, (each) => each.thread.id, (each) => this.#thread(each))}</ul>
      ${search.hasMore ? html`<button type="button" class="button ghost more" ?disabled=${search.loading} @click=${() => search.loadMore()}>${t("history.more")}</button>` : nothing}
    </div>`;
  }

  #thread({ thread, title_ranges: ranges, items, item_count: count }: FoundThread): TemplateResult {
    const t = this.host.translate;
    const isCurrent = this.current === thread.id;
    const more = count - items.length;
    return html`<li class="found-thread ${isCurrent ? "current" : ""}" part="search-result" data-thread=${thread.id}>
      <button type="button" class="thread-title" dir="auto" aria-current=${isCurrent ? "page" : nothing} @click=${() => this.host.open(thread.id, null)}>${thread.title ? marked(thread.title, ranges) : t("header.untitled")}</button>
      ${items.length === 0
        ? nothing
        : html`<ul class="found-items">${items.map((item) => html`<li>${this.#item(thread.id, item)}</li>`)}
            ${more > 0 ? html`<li class="hint">${t("search.further", { count: more })}</li>` : nothing}</ul>`}
    </li>`;
  }

  #item(threadId: string, item: FoundItem): TemplateResult {
    const said = this.host.translate(item.type === "user_message" ? "thread.you" : "thread.assistant");
    return html`<button type="button" class="found-item" dir="auto" data-item=${item.id} @click=${() => this.host.open(threadId, item.id)}><span class="visually-hidden">${said}: </span>${marked(item.text, item.ranges)}</button>`;
  }

  readonly #keyed = (event: KeyboardEvent): void => {
    const input = inputOf(this);
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.search.clear();
      input?.focus();
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    const buttons = [...this.querySelectorAll<HTMLElement>("button")];
    const next = buttons.indexOf(event.target as HTMLElement) + step;
    event.preventDefault();
    (next < 0 ? input : buttons[next])?.focus();
  };
}

/** A text with what was found in it; places are counted in characters, of which some are two units of a string. */
export function marked(text: string, ranges: Ranges): (string | TemplateResult)[] {
  const characters = Array.from(text);
  const parts: (string | TemplateResult)[] = [];
  let shown = 0;
  for (const [start, end] of ranges) {
    if (start < shown || end <= start) continue;
    parts.push(characters.slice(shown, start).join(""), html`<mark>${characters.slice(start, end).join("")}</mark>`);
    shown = end;
  }
  return [...parts, characters.slice(shown).join("")];
}

/** What of a search is seen where it is shown, in one text. */
export function flagsOf(search: ThreadSearch): string {
  return `${search.loading} ${search.hasMore} ${search.complete} ${search.answered} ${search.error?.message}`;
}

function rootOf(element: HTMLElement): Document | ShadowRoot {
  return element.getRootNode() as Document | ShadowRoot;
}

function inputOf(element: HTMLElement): HTMLInputElement | null {
  return rootOf(element).querySelector<HTMLInputElement>(".search-field input");
}

define("ck-found", FoundView);
