/** A button with a menu: arrow keys, type-ahead by the browser's focus, Escape and clicks elsewhere close it. */

import { html, LitElement, nothing, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import { icon } from "../icons/icons";
import { define } from "./base";

export interface MenuEntry {
  id: string;
  label: string;
  description?: string | undefined;
  icon?: TemplateResult | typeof nothing | undefined;
  disabled?: boolean | undefined;
  /** Given for entries of which one is chosen. */
  checked?: boolean | undefined;
  danger?: boolean | undefined;
  /** Whether choosing it moves the focus elsewhere, so that it does not go back to the button. */
  keepsFocus?: boolean | undefined;
  select(): void;
}

/** Between the menu and its button, and the window's edge. */
const GAP = 6;
const EDGE = 8;

export class MenuView extends LitElement {
  @property({ attribute: false }) label = "";
  @property({ attribute: false }) entries: readonly MenuEntry[] = [];
  @property({ attribute: false }) trigger: unknown = nothing;
  @property({ attribute: false }) buttonClass = "icon-button";
  @property({ attribute: false }) opensUp = false;
  @property({ attribute: false }) alignsEnd = false;
  @state() private open = false;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#close(false);
  }

  protected override render(): TemplateResult {
    return html`
      <button type="button" class=${this.buttonClass} aria-haspopup="menu" aria-expanded=${this.open} aria-label=${this.label}
        title=${this.label} @click=${this.#toggle} @keydown=${this.#triggerKey}>${this.trigger}</button>
      ${this.open
        ? html`<div class="menu" part="menu" popover="manual" role="menu" aria-label=${this.label} @keydown=${this.#menuKey}>
            ${this.entries.map((entry) => this.#entry(entry))}
          </div>`
        : nothing}
    `;
  }

  #entry(entry: MenuEntry): TemplateResult {
    const isChoice = entry.checked !== undefined;
    return html`<button type="button" class="menu-entry ${entry.danger ? "danger" : ""}" tabindex="-1"
      role=${isChoice ? "menuitemradio" : "menuitem"} aria-checked=${isChoice ? String(entry.checked) : nothing}
      ?disabled=${entry.disabled ?? false} @click=${() => this.#select(entry)}>
      ${entry.icon ?? nothing}
      <span class="menu-text"><span class="menu-label">${entry.label}</span>
      ${entry.description ? html`<span class="menu-description">${entry.description}</span>` : nothing}</span>
      ${entry.checked ? html`<span class="menu-check">${icon("check")}</span>` : nothing}
    </button>`;
  }

  readonly #toggle = (): void => {
    if (this.open) this.#close(true);
    else void this.#show(0);
  };

  readonly #triggerKey = (event: KeyboardEvent): void => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    void this.#show(event.key === "ArrowUp" ? -1 : 0);
  };

  readonly #menuKey = (event: KeyboardEvent): void => {
    const items = this.#items();
    const at = items.indexOf((this.getRootNode() as ShadowRoot).activeElement as HTMLButtonElement);
    const to: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    const target = to[event.key];
    if (target !== undefined) {
      event.preventDefault();
      items.at(target % Math.max(items.length, 1))?.focus();
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.#close(true);
    } else if (event.key === "Tab") this.#close(false);
  };

  readonly #outside = (event: Event): void => {
    if (!event.composedPath().includes(this)) this.#close(false);
  };

  readonly #moved = (event: Event): void => {
    if (!event.composedPath().some((target) => target instanceof Element && target.classList.contains("menu"))) this.#close(false);
  };

  async #show(focused: number): Promise<void> {
    this.open = true;
    document.addEventListener("pointerdown", this.#outside, true);
    document.addEventListener("scroll", this.#moved, true);
    addEventListener("resize", this.#moved);
    await this.updateComplete;
    this.#place();
    const chosen = this.entries.findIndex((entry) => entry.checked);
    this.#items().at(chosen >= 0 ? chosen : focused)?.focus();
  }

  #close(returnsFocus: boolean): void {
    document.removeEventListener("pointerdown", this.#outside, true);
    document.removeEventListener("scroll", this.#moved, true);
    removeEventListener("resize", this.#moved);
    this.open = false;
    if (returnsFocus) this.querySelector("button")?.focus();
  }

  #select(entry: MenuEntry): void {
    this.#close(!entry.keepsFocus);
    entry.select();
  }

  /** Puts the menu beside its button, above everything and inside the window: lists that scroll would cut it off. */
  #place(): void {
    const menu = this.querySelector<HTMLElement>(".menu");
    const button = this.querySelector("button");
    if (!menu || !button) return;
    menu.showPopover();
    const { left, right, top, bottom } = button.getBoundingClientRect();
    const { width, height } = menu.getBoundingClientRect();
    const isRightToLeft = getComputedStyle(this).direction === "rtl";
    const x = this.alignsEnd !== isRightToLeft ? right - width : left;
    const above = top - height - GAP;
    const below = bottom + GAP;
    const fitsBelow = below + height <= innerHeight - EDGE;
    const y = (this.opensUp && above >= EDGE) || (!fitsBelow && above >= EDGE) ? above : below;
    menu.style.setProperty("left", `${Math.max(EDGE, Math.min(x, innerWidth - width - EDGE))}px`);
    menu.style.setProperty("top", `${Math.max(EDGE, Math.min(y, innerHeight - height - EDGE))}px`);
  }

  #items(): HTMLButtonElement[] {
    return [...this.querySelectorAll<HTMLButtonElement>(".menu-entry:not(:disabled)")];
  }
}

define("ck-menu", MenuView);
