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
  readonly #find: (number: number) => Citation | null;
  #current: Citation | null = null;
  #anchor: HTMLElement | null = null;
  #widget: unknown = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(view: ReactiveControllerHost & HTMLElement, host: () => ContentHost, find: (number: number) => Citation | null) {
    this.#view = view;
    this.#host = host;
    this.#find = find;
    view.addController(this);
  }

  hostConnected(): void {
    const root = this.#view.shadowRoot ?? this.#view;
    queueMicrotask(() => {
      const target = this.#view.shadowRoot ?? root;
      target.addEventListener("pointerover", this.#enter);
      target.addEventListener("pointerout", this.#leave);
      target.addEventListener("focusin", this.#enter);
      target.addEventListener("focusout", this.#leave);
      target.addEventListener("keydown", this.#key);
    });
  }

  hostDisconnected(): void {
    clearTimeout(this.#timer);
    this.#current = null;
    this.#anchor = null;
  }

  readonly #enter = (event: Event): void => {
    const target = event.target instanceof Element ? event.target : null;
    const chip = target?.closest<HTMLElement>("[data-citation]");
    if (chip) {
      const citation = this.#find(Number(chip.dataset["citation"]));
      if (citation) this.#later(OPEN_AFTER, () => this.#open(citation, chip));
    } else if (target?.closest(".preview")) clearTimeout(this.#timer);
  };

  readonly #leave = (event: Event): void => {
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest("[data-citation], .preview")) this.#later(CLOSE_AFTER, () => this.#close());
  };

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
    if (source.type !== "entity" || source.preview !== "lazy" || !request) return;
    void request(source).then(
      (answer) => {
        if (this.#current !== citation || !answer?.preview) return;
        this.#widget = answer.preview;
        this.#view.requestUpdate();
        // Widgets come in a chunk of their own; the element is upgraded when it is there.
        void import("../widgets").catch(() => this.#host().onLog("widgets.unavailable"));
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
    const card = this.#anchor ? this.#view.shadowRoot?.querySelector<HTMLElement>(".preview") : null;
    if (!card || !this.#anchor) return;
    if (typeof card.showPopover === "function" && !card.matches(":popover-open")) card.showPopover();
    const place = this.#anchor.getBoundingClientRect();
    const size = card.getBoundingClientRect();
    const left = Math.max(MARGIN, Math.min(place.left, window.innerWidth - size.width - MARGIN));
    const below = place.bottom + MARGIN;
    const above = place.top - size.height - MARGIN;
    const top = below + size.height > window.innerHeight && above >= MARGIN ? above : below;
    card.style.setProperty("left", `${left}px`);
    card.style.setProperty("top", `${top}px`);
  }

  render(): TemplateResult | typeof nothing {
    if (!this.#current) return nothing;
    const { source } = this.#current;
    const host = this.#host();
    if (this.#widget) {
      return html`<div class="preview" part="preview" popover="manual" role="tooltip">
        <ck-widget .widget=${this.#widget} .host=${host}></ck-widget>
      </div>`;
    }
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
