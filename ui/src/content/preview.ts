/** The card that shows a source while its chip is hovered or focused. */

import { html, nothing, type ReactiveController, type ReactiveControllerHost, type TemplateResult } from "lit";

import type { ContentHost } from "../contracts";
import type { Citation, Source } from "./citations";
import "./icon";
import { hostOf } from "./urls";

const OPEN_AFTER = 120;
const CLOSE_AFTER = 180;
const MARGIN = 8;

/** Icon of a source: the entity's own, or one of its kind. */
export function sourceIcon(source: Source): string {
  if (source.type === "entity") return source.icon || "cube";
  return source.type === "file" ? "document" : "globe";
}

/** The line that says where a source comes from. */
export function sourceOrigin(source: Source): string {
  if (source.type === "url") return source.attribution || hostOf(source.url);
  if (source.type === "file") return source.filename;
  return source.label || source.group || source.description || "";
}

function day(timestamp: string | null | undefined, locale: string): string {
  if (!timestamp) return "";
  const date = new Date(timestamp);
  return Number.isNaN(date.getTime()) ? "" : new Intl.DateTimeFormat(locale, { dateStyle: "medium" }).format(date);
}

/** Opens and closes the preview card of the chips in a view's shadow root. */
export class PreviewController implements ReactiveController {
  readonly #view: ReactiveControllerHost & HTMLElement;
  readonly #host: () => ContentHost;
  readonly find: (number: number) => Citation | null;
  #current: Citation | null = null;
  #anchor: HTMLElement | null = null;
  #widget: unknown = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #card: HTMLElement | null = null;
  #sizes: ResizeObserver | undefined;

  readonly #entity: (source: Source) => unknown;

  /**
   * `find` returns what a chip stands for, by the number in its `data-citation`; `entity` what the page is asked about,
   * by default the source.
   */
  constructor(
    view: ReactiveControllerHost & HTMLElement,
    host: () => ContentHost,
    find: (number: number) => Citation | null,
    entity: (source: Source) => unknown = (source) => source,
  ) {
    this.#view = view;
    this.#host = host;
    this.find = find;
    this.#entity = entity;
    view.addController(this);
  }

  /** Where the view draws: its shadow tree, or itself. */
  get #root(): ShadowRoot | HTMLElement {
    return this.#view.shadowRoot ?? this.#view;
  }

  hostConnected(): void {
    queueMicrotask(() => {
      const target = this.#root;
      target.addEventListener("pointerover", this.#enter);
      target.addEventListener("pointerout", this.#leave);
      target.addEventListener("focusin", this.#enter);
      target.addEventListener("focusout", this.#leave);
      target.addEventListener("keydown", this.#key);
    });
  }

  hostDisconnected(): void {
    clearTimeout(this.#timer);
    this.#sizes?.disconnect();
    this.#card = null;
    this.#current = null;
    this.#anchor = null;
  }

  readonly #enter = (event: Event): void => {
    const target = event.target instanceof Element ? event.target : null;
    const chip = target?.closest<HTMLElement>("[data-citation]");
    if (chip) this.offer(this.find(Number(chip.dataset["citation"])), chip);
    else if (target?.closest(".preview")) clearTimeout(this.#timer);
  };

  readonly #leave = (event: Event): void => {
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest("[data-citation], .preview")) this.withdraw();
  };

  /** Opens the card in a moment, unless it is open already. */
  offer(citation: Citation | null, anchor: HTMLElement): void {
    if (citation && citation !== this.#current) this.#later(OPEN_AFTER, () => this.#open(citation, anchor));
    else if (citation) clearTimeout(this.#timer);
  }

  /** Closes the card in a moment. */
  withdraw(): void {
    this.#later(CLOSE_AFTER, () => this.#close());
  }

  readonly #key = (event: Event): void => {
    if ((event as KeyboardEvent).key === "Escape" && this.#current) {
      event.stopPropagation();
      this.#close();
    }
  };

  #later(delay: number, action: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, delay);
  }

  #open(citation: Citation, anchor: HTMLElement): void {
    if (!anchor.isConnected) return;
    this.#current = citation;
    this.#anchor = anchor;
    this.#widget = null;
    this.#view.requestUpdate();
    const { source } = citation;
    const request = this.#host().entities?.onRequestPreview;
    if (source.type !== "entity" || !source.preview || !request) return;
    // The page's function may throw at once, too.
    void Promise.resolve(this.#entity(source)).then(request).then(
      (answer) => {
        if (this.#current !== citation || !answer?.preview) return;
        this.#widget = answer.preview;
        this.#view.requestUpdate();
        // Widgets come in a chunk of their own; the element is upgraded when it is there.
        this.#host().loadWidgets?.().catch(() => this.#host().onLog("widgets.unavailable"));
      },
      () => undefined,
    );
  }

  #close(): void {
    this.#current = null;
    this.#anchor = null;
    this.#view.requestUpdate();
  }

  hostUpdated(): void {
    // A long answer is not searched for a card that is not there.
    const card = this.#anchor ? this.#root.querySelector<HTMLElement>(".preview") : null;
    if (card !== this.#card) {
      this.#sizes?.disconnect();
      this.#card = card;
      // A widget has its size only when its code is there, and its pictures.
      if (card && typeof ResizeObserver === "function") {
        this.#sizes ??= new ResizeObserver(() => this.#place());
        this.#sizes.observe(card);
      }
    }
    if (card && typeof card.showPopover === "function" && !card.matches(":popover-open")) card.showPopover();
    this.#place();
  }

  /** Puts the card under its anchor, above where there is more room, and inside of the window. */
  #place(): void {
    const card = this.#card;
    if (!card || !this.#anchor) return;
    const place = this.#anchor.getBoundingClientRect();
    const size = card.getBoundingClientRect();
    const within = (start: number, length: number, room: number): number => Math.max(MARGIN, Math.min(start, room - length - MARGIN));
    const below = place.bottom + MARGIN;
    const above = place.top - size.height - MARGIN;
    const top = below + size.height > window.innerHeight && above >= MARGIN ? above : below;
    card.style.setProperty("left", `${within(place.left, size.width, window.innerWidth)}px`);
    card.style.setProperty("top", `${within(top, size.height, window.innerHeight)}px`);
  }

  render(): TemplateResult | typeof nothing {
    if (!this.#current) return nothing;
    const { source } = this.#current;
    const host = this.#host();
    if (this.#widget) {
      // A card is its own frame.
      const isCard = (this.#widget as { type?: unknown }).type === "Card";
      return html`<div class=${isCard ? "preview bare" : "preview"} part="preview" popover="manual" role="tooltip">
        <ck-widget .widget=${this.#widget} .host=${host}></ck-widget>
      </div>`;
    }
    // Of a tag nothing is known but what it shows already.
    if (source.type === "entity" && source.preview === "only") return nothing;
    const origin = sourceOrigin(source);
    const date = day(source.timestamp, host.locale);
    return html`<div class="preview" part="preview" popover="manual" role="tooltip">
      <div class="origin"><ck-icon .name=${sourceIcon(source)} .host=${host}></ck-icon><span>${origin}</span></div>
      <div class="title" dir="auto">${source.title}</div>
      ${source.description ? html`<div class="description" dir="auto">${source.description}</div>` : nothing}
      ${date || source.group ? html`<div class="detail">${[source.group, date].filter(Boolean).join(" · ")}</div>` : nothing}
    </div>`;
  }
}
