/** The DatePicker control: a button that opens a month, worked with pointer or keyboard. */

import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";

import type { ContentHost } from "../contracts";
import "../content/icon";
import { defaultHost } from "../content/strings";
import { addDays, addMonths, clampDay, firstWeekday, formatDay, monthGrid, today } from "./dates";
import { closePopup, openPopup, type PopupAlign, type PopupSide } from "./popup";

/** `<ck-date-picker>`: lives in the widget's own tree. Days are `YYYY-MM-DD`. Fires `change`. */
export class CkDatePicker extends LitElement {
  static override properties = {
    fieldName: { attribute: false },
    defaultValue: { attribute: false },
    min: { attribute: false },
    max: { attribute: false },
    placeholder: { attribute: false },
    controlId: { attribute: false },
    look: { attribute: false },
    side: { attribute: false },
    align: { attribute: false },
    labelled: { attribute: false },
    clearable: { type: Boolean },
    disabled: { type: Boolean },
    host: { attribute: false },
    open: { state: true },
    active: { state: true },
  };
  declare fieldName: string;
  declare defaultValue: string | null;
  declare min: string | null;
  declare max: string | null;
  declare placeholder: string;
  declare controlId: string;
  declare look: string;
  declare side: PopupSide;
  declare align: PopupAlign;
  /** A Label names the control. */
  declare labelled: boolean;
  declare clearable: boolean;
  declare disabled: boolean;
  declare host: ContentHost | null;
  declare open: boolean;
  declare active: string;

  #chosen: string | null | undefined;
  #focusDay = false;

  constructor() {
    super();
    this.fieldName = "";
    this.defaultValue = null;
    this.min = null;
    this.max = null;
    this.placeholder = "";
    this.controlId = "";
    this.look = "";
    this.side = "bottom";
    this.align = "start";
    this.labelled = false;
    this.clearable = false;
    this.disabled = false;
    this.host = null;
    this.open = false;
    this.active = today();
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  /** The chosen day; what the user chose outlives a new default. */
  get fieldValue(): string | null {
    return this.#chosen === undefined ? this.defaultValue : this.#chosen;
  }

  get #button(): HTMLButtonElement {
    return this.querySelector<HTMLButtonElement>(".control")!;
  }

  #allowed(day: string): boolean {
    return clampDay(day, this.min, this.max) === day;
  }

  #choose(day: string | null): void {
    const before = this.fieldValue;
    this.#chosen = day;
    this.#close(true);
    this.requestUpdate();
    if (day !== before) this.dispatchEvent(new Event("change", { bubbles: true }));
  }

  #show(): void {
    if (this.disabled) return;
    document.addEventListener("pointerdown", this.#outside, true);
    this.active = clampDay(this.fieldValue ?? today(), this.min, this.max);
    this.#focusDay = true;
    this.open = true;
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

  #go(day: string, focus: boolean): void {
    this.active = clampDay(day, this.min, this.max);
    this.#focusDay = focus;
  }

  protected override updated(changed: PropertyValues<this>): void {
    const panel = this.querySelector<HTMLElement>(".popup");
    if (!panel || !this.open) return;
    if (changed.has("open")) openPopup(panel, this.#button, this.side, this.align);
    if (this.#focusDay) panel.querySelector<HTMLElement>('[tabindex="0"].day')?.focus();
    this.#focusDay = false;
  }

  #key(event: KeyboardEvent): void {
    const rtl = getComputedStyle(this).direction === "rtl" ? -1 : 1;
    const first = firstWeekday((this.host ?? defaultHost).locale);
    const weekday = (new Date(`${this.active}T00:00:00Z`).getUTCDay() - first + 7) % 7;
    const days: Record<string, () => string> = {
      ArrowLeft: () => addDays(this.active, -rtl),
      ArrowRight: () => addDays(this.active, rtl),
      ArrowUp: () => addDays(this.active, -7),
      ArrowDown: () => addDays(this.active, 7),
      Home: () => addDays(this.active, -weekday),
      End: () => addDays(this.active, 6 - weekday),
      PageUp: () => addMonths(this.active, event.shiftKey ? -12 : -1),
      PageDown: () => addMonths(this.active, event.shiftKey ? 12 : 1),
    };
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.#close(true);
      return;
    }
    const onDay = event.target instanceof HTMLElement && event.target.classList.contains("day");
    const move = onDay ? days[event.key] : undefined;
    if (!move) return;
    event.preventDefault();
    this.#go(move(), true);
  }

  #calendar(): TemplateResult {
    const { translate, locale } = this.host ?? defaultHost;
    const weeks = monthGrid(this.active, firstWeekday(locale));
    const month = this.active.slice(0, 7);
    const title = formatDay(this.active, locale, { month: "long", year: "numeric" });
    const step = (count: number, icon: string, label: string): TemplateResult => html`<button
      type="button"
      class="step"
      aria-label=${translate(label)}
      @click=${() => this.#go(addMonths(this.active, count), false)}
    >
      <ck-icon .name=${icon}></ck-icon>
    </button>`;
    return html`<div
      class="popup calendar"
      popover="manual"
      role="dialog"
      aria-label=${this.placeholder || translate("widget.chooseDate")}
      @keydown=${this.#key}
    >
      <div class="month">
        ${step(-1, "chevron-left", "widget.previousMonth")}
        <span aria-live="polite">${title}</span>
        ${step(1, "chevron-right", "widget.nextMonth")}
      </div>
      <table role="grid" aria-label=${title}>
        <thead>
          <tr>
            ${weeks[0]!.map(
              (day) => html`<th scope="col" abbr=${formatDay(day, locale, { weekday: "long" })}>${formatDay(day, locale, { weekday: "narrow" })}</th>`,
            )}
          </tr>
        </thead>
        <tbody>
          ${weeks.map((week) => html`<tr>${week.map((day) => html`<td role="gridcell" aria-selected=${day === this.fieldValue}>${this.#day(day, month, locale)}</td>`)}</tr>`)}
        </tbody>
      </table>
    </div>`;
  }

  #day(day: string, month: string, locale: string): TemplateResult {
    const classes = ["day", day.startsWith(month) ? "" : "outside", day === today() ? "today" : "", day === this.fieldValue ? "chosen" : ""];
    return html`<button
      type="button"
      class=${classes.filter(Boolean).join(" ")}
      tabindex=${day === this.active ? 0 : -1}
      ?disabled=${!this.#allowed(day)}
      aria-current=${day === today() ? "date" : nothing}
      aria-label=${formatDay(day, locale, { dateStyle: "full" })}
      @click=${() => this.#choose(day)}
    >
      ${formatDay(day, locale, { day: "numeric" })}
    </button>`;
  }

  protected override render(): TemplateResult {
    const { translate, locale } = this.host ?? defaultHost;
    const value = this.fieldValue;
    return html`<span class="picker ${this.look}">
      <button
        type="button"
        class="control ${this.look}"
        id=${this.controlId}
        aria-haspopup="dialog"
        aria-expanded=${this.open}
        aria-labelledby=${this.labelled ? `${this.controlId}-label ${this.controlId}-value` : nothing}
        aria-label=${this.labelled ? nothing : [this.placeholder || this.fieldName, value ? formatDay(value, locale, { dateStyle: "long" }) : ""].filter(Boolean).join(", ")}
        ?disabled=${this.disabled}
        @click=${() => (this.open ? this.#close(true) : this.#show())}
        @keydown=${(event: KeyboardEvent) => {
          if (event.key === "ArrowDown") {
            event.preventDefault();
            this.#show();
          }
        }}
      >
        <ck-icon name="calendar"></ck-icon>
        <span id="${this.controlId}-value" class=${value ? "value" : "value placeholder"} dir="auto"
          >${value ? formatDay(value, locale, { dateStyle: "medium" }) : this.placeholder || translate("widget.chooseDate")}</span
        >
      </button>
      ${this.clearable && value !== null && !this.disabled
        ? html`<button type="button" class="clear" aria-label=${translate("widget.clear")} @click=${() => this.#choose(null)}>
            <ck-icon name="close"></ck-icon>
          </button>`
        : nothing}
      ${this.open ? this.#calendar() : nothing}
    </span>`;
  }
}

if (!customElements.get("ck-date-picker")) customElements.define("ck-date-picker", CkDatePicker);
