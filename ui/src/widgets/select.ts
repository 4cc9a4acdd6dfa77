/** The Select control: a button that opens a list of options, with search where the widget asks for it. */

import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";

import type { ContentHost } from "../contracts";
import "../content/icon";
import { defaultHost } from "../content/strings";
import { closePopup, openPopup } from "./popup";

export interface SelectOption {
  readonly value: string;
  readonly label: string;
  readonly description: string;
  readonly disabled: boolean;
}

/** Options that are in the page at once; beyond, there is a search, and the list moves with the active one. */
const MOST = 200;

/** `<ck-select>`: lives in the widget's own tree, so that labels and style sheets reach it. Fires `change`. */
export class CkSelect extends LitElement {
  static override properties = {
    fieldName: { attribute: false },
    options: { attribute: false },
    defaultValue: { attribute: false },
    placeholder: { attribute: false },
    controlId: { attribute: false },
    look: { attribute: false },
    labelled: { attribute: false },
    clearable: { type: Boolean },
    searchable: { type: Boolean },
    disabled: { type: Boolean },
    host: { attribute: false },
    open: { state: true },
    query: { state: true },
    active: { state: true },
  };
  declare fieldName: string;
  declare options: readonly SelectOption[];
  declare defaultValue: string | null;
  declare placeholder: string;
  declare controlId: string;
  /** Classes of the button: variant, size, pill, block. */
  declare look: string;
  /** A Label names the control. */
  declare labelled: boolean;
  declare clearable: boolean;
  declare searchable: boolean;
  declare disabled: boolean;
  declare host: ContentHost | null;
  declare open: boolean;
  declare query: string;
  declare active: number;

  #chosen: string | null | undefined;
  #found: { of: readonly SelectOption[]; query: string; options: readonly SelectOption[] } = { of: [], query: "", options: [] };
  /** The first option that is in the page. */
  #first = 0;
  #typed = "";
  #typedAt = 0;

  constructor() {
    super();
    this.fieldName = "";
    this.options = [];
    this.defaultValue = null;
    this.placeholder = "";
    this.controlId = "";
    this.look = "";
    this.labelled = false;
    this.clearable = false;
    this.searchable = false;
    this.disabled = false;
    this.host = null;
    this.open = false;
    this.query = "";
    this.active = -1;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  /** The chosen option's value; what the user chose outlives a new default. */
  get fieldValue(): string | null {
    const value = this.#chosen === undefined ? this.defaultValue : this.#chosen;
    return this.options.some((option) => option.value === value) ? value : null;
  }

  get #shown(): readonly SelectOption[] {
    const query = this.query.trim().toLowerCase();
    if (query === "") return this.options;
    if (this.#found.query !== query || this.#found.of !== this.options) {
      // What is typed on narrows what was found.
      const from = this.#found.of === this.options && this.#found.query !== "" && query.startsWith(this.#found.query) ? this.#found.options : this.options;
      const options = from.filter((option) => `${option.label} ${option.description}`.toLowerCase().includes(query));
      this.#found = { of: this.options, query, options };
    }
    return this.#found.options;
  }

  get #searchable(): boolean {
    return this.searchable || this.options.length > MOST;
  }

  get #button(): HTMLButtonElement {
    return this.querySelector<HTMLButtonElement>(".control")!;
  }

  #choose(value: string | null): void {
    const before = this.fieldValue;
    this.#chosen = value;
    this.#close(true);
    this.requestUpdate();
    if (value !== before) this.dispatchEvent(new Event("change", { bubbles: true }));
  }

  #show(): void {
    if (this.disabled) return;
    document.addEventListener("pointerdown", this.#outside, true);
    this.open = true;
    this.query = "";
    const { fieldValue } = this;
    this.active = Math.max(0, this.options.findIndex((option) => option.value === fieldValue));
  }

  readonly #outside = (event: Event): void => {
    if (!event.composedPath().includes(this)) this.#close(false);
  };

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#close(false);
  }

  #close(focus: boolean): void {
    this.open = false;
    document.removeEventListener("pointerdown", this.#outside, true);
    closePopup(this.querySelector<HTMLElement>(".popup"));
    if (focus) this.#button.focus();
  }

  protected override updated(changed: PropertyValues<this>): void {
    const panel = this.querySelector<HTMLElement>(".popup");
    if (!panel || !this.open) return;
    if (changed.has("open")) {
      openPopup(panel, this.#button, "bottom", "start", true);
      (panel.querySelector<HTMLElement>("input") ?? panel.querySelector<HTMLElement>("[role=listbox]"))?.focus();
    }
    panel.querySelector('[data-active="true"]')?.scrollIntoView?.({ block: "nearest" });
  }

  #move(step: number): void {
    const shown = this.#shown;
    let next = this.active;
    for (let tries = 0; tries < shown.length; tries += 1) {
      next = (next + step + shown.length) % shown.length;
      if (!shown[next]!.disabled) break;
    }
    this.active = next;
  }

  #jump(letter: string): void {
    const now = Date.now();
    this.#typed = now - this.#typedAt < 600 ? this.#typed + letter : letter;
    this.#typedAt = now;
    const found = this.#shown.findIndex((option) => !option.disabled && option.label.toLocaleLowerCase().startsWith(this.#typed.toLocaleLowerCase()));
    if (found >= 0) this.active = found;
  }

  #buttonKey(event: KeyboardEvent): void {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.#show();
    } else if ((event.key === "Delete" || event.key === "Backspace") && this.clearable && this.fieldValue !== null) {
      event.preventDefault();
      this.#choose(null);
    }
  }

  #listKey(event: KeyboardEvent): void {
    const typing = event.target instanceof HTMLInputElement;
    const steps: Record<string, () => void> = {
      ArrowDown: () => this.#move(1),
      ArrowUp: () => this.#move(-1),
      Escape: () => this.#close(true),
      Enter: () => {
        const option = this.#shown[this.active];
        if (option && !option.disabled) this.#choose(option.value);
      },
    };
    if (!typing) {
      steps["Home"] = () => {
        this.active = -1;
        this.#move(1);
      };
      steps["End"] = () => {
        this.active = 0;
        this.#move(-1);
      };
      steps[" "] = steps["Enter"]!;
    }
    const step = steps[event.key];
    if (step) {
      event.preventDefault();
      event.stopPropagation();
      step();
    } else if (event.key === "Tab") this.#close(true);
    else if (!typing && event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) this.#jump(event.key);
  }

  #list(): TemplateResult {
    const { translate } = this.host ?? defaultHost;
    const shown = this.#shown;
    const id = (place: number): string => `${this.controlId}-option-${place}`;
    const active = shown[this.active] ? id(this.active) : nothing;
    const { fieldValue } = this;
    if (this.active < this.#first || this.active >= this.#first + MOST) this.#first = this.active - MOST / 2;
    this.#first = Math.max(0, Math.min(this.#first, shown.length - MOST));
    const first = this.#first;
    const part = shown.length > MOST ? shown.slice(first, first + MOST) : shown;
    const after = shown.length - first - part.length;
    const size = part.length < shown.length ? shown.length : nothing;
    const go = (place: number) => () => {
      this.active = place;
    };
    return html`<div
      class="popup"
      popover="manual"
      @keydown=${this.#listKey}
    >
      ${this.#searchable
        ? html`<input
            type="text"
            class="search"
            role="combobox"
            aria-expanded="true"
            aria-controls="${this.controlId}-list"
            aria-activedescendant=${active}
            aria-label=${translate("widget.search")}
            placeholder=${translate("widget.search")}
            .value=${this.query}
            @input=${(event: Event) => {
              this.query = (event.target as HTMLInputElement).value;
              this.active = 0;
            }}
          />`
        : nothing}
      <div
        id="${this.controlId}-list"
        role="listbox"
        tabindex=${this.#searchable ? -1 : 0}
        aria-label=${this.placeholder || translate("widget.choose")}
        aria-activedescendant=${this.#searchable ? nothing : active}
      >
        ${first > 0 ? html`<div class="option rest" aria-hidden="true" @click=${go(Math.max(0, first - 1))}>${translate("widget.more", { count: first })}</div>` : nothing}
        ${part.map((option, offset) => {
          const place = first + offset;
          return html`<div
            id=${id(place)}
            aria-setsize=${size}
            aria-posinset=${size === nothing ? nothing : place + 1}
            class="option"
            role="option"
            aria-selected=${option.value === fieldValue}
            aria-disabled=${option.disabled ? "true" : nothing}
            data-active=${place === this.active}
            @pointermove=${go(place)}
            @click=${() => {
              if (!option.disabled) this.#choose(option.value);
            }}
          >
            <span class="option-text" dir="auto">
              <span>${option.label}</span>
              ${option.description ? html`<span class="option-description">${option.description}</span>` : nothing}
            </span>
            ${option.value === fieldValue ? html`<ck-icon name="check"></ck-icon>` : nothing}
          </div>`;
        })}
        ${after > 0 ? html`<div class="option rest" aria-hidden="true" @click=${go(first + part.length)}>${translate("widget.more", { count: after })}</div>` : nothing}
      </div>
      ${shown.length === 0 ? html`<div class="empty" role="status">${translate("widget.noMatches")}</div>` : nothing}
    </div>`;
  }

  protected override render(): TemplateResult {
    const { translate } = this.host ?? defaultHost;
    const { fieldValue } = this;
    const chosen = fieldValue === null ? undefined : this.options.find((option) => option.value === fieldValue);
    const empty = this.placeholder || translate("widget.choose");
    return html`<span class="picker ${this.look}">
      <button
        type="button"
        class="control ${this.look}"
        id=${this.controlId}
        aria-haspopup="listbox"
        aria-expanded=${this.open}
        aria-labelledby=${this.labelled ? `${this.controlId}-label ${this.controlId}-value` : nothing}
        aria-label=${this.labelled ? nothing : [this.placeholder || this.fieldName, chosen ? chosen.label : ""].filter(Boolean).join(", ")}
        ?disabled=${this.disabled}
        @click=${() => (this.open ? this.#close(true) : this.#show())}
        @keydown=${this.#buttonKey}
      >
        <span id="${this.controlId}-value" class=${chosen ? "value" : "value placeholder"} dir="auto">${chosen?.label ?? empty}</span>
        <ck-icon class="chevron" name="chevron-down"></ck-icon>
      </button>
      ${this.clearable && chosen && !this.disabled
        ? html`<button type="button" class="clear" aria-label=${translate("widget.clear")} @click=${() => this.#choose(null)}>
            <ck-icon name="close"></ck-icon>
          </button>`
        : nothing}
      ${this.open ? this.#list() : nothing}
    </span>`;
  }
}

if (!customElements.get("ck-select")) customElements.define("ck-select", CkSelect);
