/** Button, Input, Textarea, Select, DatePicker, Checkbox, RadioGroup. */

import { html, nothing, type TemplateResult } from "lit";
import { ref } from "lit/directives/ref.js";

import { styled } from "../content/styled";
import { controlId, icon, moreButton, takeRoom, type WidgetContext } from "./context";
import "./datePicker";
import { readDay } from "./dates";
import { checkPattern } from "./forms";
import "./select";
import type { SelectOption } from "./select";
import { isDict, oneOf, text, type WidgetNode } from "./types";

type Shown = TemplateResult | typeof nothing;

const SIZES = ["3xs", "2xs", "xs", "sm", "md", "lg", "xl", "2xl", "3xl"] as const;
const GUTTERS = ["2xs", "xs", "sm", "md", "lg", "xl"] as const;
const COLORS = ["primary", "secondary", "info", "discovery", "success", "caution", "warning", "danger"] as const;
const VARIANTS = ["solid", "soft", "outline", "ghost"] as const;

/** Classes that every control shares: variant, size, pill, block. */
function look(node: WidgetNode, variant: string): string {
  const gutter = typeof node["gutterSize"] === "string" ? `gutter-${oneOf(node["gutterSize"], GUTTERS, "md")}` : "";
  const flags = [node["pill"] === true ? "pill" : "", node["block"] === true ? "block" : ""];
  return [`variant-${variant}`, `size-${oneOf(node["size"], SIZES, "md")}`, gutter, ...flags].filter(Boolean).join(" ");
}

function buttonColor(node: WidgetNode): (typeof COLORS)[number] {
  const fallback = node["style"] === "primary" ? "primary" : node["style"] === "secondary" ? "secondary" : "secondary";
  return oneOf(node["color"], COLORS, fallback);
}

export function renderButton(node: WidgetNode, context: WidgetContext): Shown {
  const { path } = context;
  const pending = context.isPending(path);
  const color = buttonColor(node);
  const variant = oneOf(node["variant"], VARIANTS, node["style"] === "secondary" ? "outline" : color === "secondary" ? "soft" : "solid");
  const label = text(node["label"]);
  const named = text(node["iconStart"]) || text(node["iconEnd"]);
  const uniform = node["uniform"] === true || label === "" ? "uniform" : "";
  const iconSize = `glyph-${oneOf(node["iconSize"], ["sm", "md", "lg", "xl", "2xl"], "md")}`;
  return html`<button
    type=${node["submit"] === true ? "submit" : "button"}
    class="button tone-${color} ${look(node, variant)} ${uniform} ${iconSize}"
    ?disabled=${node["disabled"] === true}
    aria-disabled=${pending ? "true" : nothing}
    aria-busy=${pending ? "true" : nothing}
    aria-label=${label === "" ? named.replaceAll("-", " ") || nothing : nothing}
    data-path=${path}
    @click=${(event: Event) => {
      const button = event.currentTarget as HTMLButtonElement;
      if (pending) event.preventDefault();
      else if (node["submit"] !== true || !button.form) context.run(node["onClickAction"], "Button", path, button);
      else if (isDict(node["onClickAction"])) {
        // A submit button with an action of its own runs it in place of the form's.
        event.preventDefault();
        if (button.form.reportValidity()) context.run(node["onClickAction"], "Button", path, button);
      }
    }}
  >
    <span class="button-inside">${icon(node["iconStart"], context)}${label ? html`<span dir="auto">${label}</span>` : nothing}${icon(node["iconEnd"], context)}</span>
    ${pending ? html`<span class="spinner" aria-hidden="true"></span>` : nothing}
  </button>`;
}

export function renderInput(node: WidgetNode, context: WidgetContext): Shown {
  const name = text(node["name"]);
  const type = oneOf(node["inputType"], ["number", "email", "text", "password", "tel", "url"], "text");
  const pattern = text(node["pattern"]);
  const check = (field: Element | undefined): void => {
    if (pattern && field) checkPattern(field as HTMLInputElement, pattern, context.host.translate("widget.format"));
  };
  return html`<input
    class="control ${look(node, oneOf(node["variant"], ["soft", "outline"], "outline"))}"
    id=${controlId(context, name)}
    data-field=${name}
    type=${type}
    step=${type === "number" ? "any" : nothing}
    dir="auto"
    .defaultValue=${text(node["defaultValue"])}
    placeholder=${text(node["placeholder"]) || nothing}
    aria-label=${context.labelled.has(name) ? nothing : text(node["placeholder"]) || name}
    ?required=${node["required"] === true}
    ?disabled=${node["disabled"] === true}
    autocomplete=${node["allowAutofillExtensions"] === true ? nothing : "off"}
    data-1p-ignore=${node["allowAutofillExtensions"] === true ? nothing : ""}
    data-auto-focus=${node["autoFocus"] === true ? "" : nothing}
    data-auto-select=${node["autoSelect"] === true ? "" : nothing}
    ${pattern ? ref(check) : nothing}
    @input=${(event: Event) => check(event.target as Element)}
  />`;
}

export function renderTextarea(node: WidgetNode, context: WidgetContext): Shown {
  const name = text(node["name"]);
  const pattern = text(node["pattern"]);
  const count = (value: unknown, fallback: number): number => (typeof value === "number" && value > 0 ? Math.min(value, 50) : fallback);
  const rows = count(node["rows"], node["autoResize"] === true ? 2 : 3);
  const styles = { "--rows": String(rows), "--max-rows": String(Math.max(rows, count(node["maxRows"], 16))) };
  return html`<textarea
    class="control ${look(node, oneOf(node["variant"], ["soft", "outline"], "outline"))} ${node["autoResize"] === true ? "auto-resize" : ""}"
    id=${controlId(context, name)}
    data-field=${name}
    style=${styled(styles)}
    dir="auto"
    rows=${rows}
    .defaultValue=${text(node["defaultValue"])}
    placeholder=${text(node["placeholder"]) || nothing}
    aria-label=${context.labelled.has(name) ? nothing : text(node["placeholder"]) || name}
    ?required=${node["required"] === true}
    ?disabled=${node["disabled"] === true}
    autocomplete=${node["allowAutofillExtensions"] === true ? nothing : "off"}
    data-auto-focus=${node["autoFocus"] === true ? "" : nothing}
    data-auto-select=${node["autoSelect"] === true ? "" : nothing}
    @input=${(event: Event) => {
      if (pattern) checkPattern(event.target as HTMLTextAreaElement, pattern, context.host.translate("widget.invalid"));
    }}
  ></textarea>`;
}

const read = new WeakMap<object, SelectOption[]>();

/** Reads options; the same ones for the same list, however often a widget is drawn. */
function readOptions(value: unknown): SelectOption[] {
  if (!Array.isArray(value)) return [];
  const known = read.get(value);
  if (known) return known;
  const options = value.filter(isDict).map((option) => ({
    value: text(option["value"]),
    label: text(option["label"]) || text(option["value"]),
    description: text(option["description"]),
    disabled: option["disabled"] === true,
  }));
  read.set(value, options);
  return options;
}

export function renderSelect(node: WidgetNode, context: WidgetContext): Shown {
  const name = text(node["name"]);
  return html`<ck-select
    class=${node["block"] === true ? "block" : ""}
    .fieldName=${name}
    .options=${readOptions(node["options"])}
    .defaultValue=${typeof node["defaultValue"] === "string" ? node["defaultValue"] : null}
    .placeholder=${text(node["placeholder"])}
    .labelled=${context.labelled.has(name)}
    .controlId=${controlId(context, name)}
    .look=${look(node, oneOf(node["variant"], VARIANTS, "outline"))}
    .clearable=${node["clearable"] === true}
    .searchable=${node["searchable"] === true}
    .disabled=${node["disabled"] === true}
    .host=${context.host}
    @change=${(event: Event) => context.run(node["onChangeAction"], "Select", context.path, event.currentTarget as Element)}
  ></ck-select>`;
}

export function renderDatePicker(node: WidgetNode, context: WidgetContext): Shown {
  const name = text(node["name"]);
  return html`<ck-date-picker
    class=${node["block"] === true ? "block" : ""}
    .fieldName=${name}
    .defaultValue=${readDay(node["defaultValue"])}
    .min=${readDay(node["min"])}
    .max=${readDay(node["max"])}
    .placeholder=${text(node["placeholder"])}
    .labelled=${context.labelled.has(name)}
    .controlId=${controlId(context, name)}
    .look=${look(node, oneOf(node["variant"], VARIANTS, "outline"))}
    .side=${oneOf(node["side"], ["top", "bottom", "left", "right"], "bottom")}
    .align=${oneOf(node["align"], ["start", "center", "end"], "start")}
    .clearable=${node["clearable"] === true}
    .disabled=${node["disabled"] === true}
    .host=${context.host}
    @change=${(event: Event) => context.run(node["onChangeAction"], "DatePicker", context.path, event.currentTarget as Element)}
  ></ck-date-picker>`;
}

export function renderCheckbox(node: WidgetNode, context: WidgetContext): Shown {
  const name = text(node["name"]);
  const label = text(node["label"]);
  return html`<label class="choice">
    <input
      type="checkbox"
      id=${controlId(context, name)}
      data-field=${name}
      .defaultChecked=${node["defaultChecked"] === true}
      ?required=${node["required"] === true}
      ?disabled=${node["disabled"] === true}
      aria-label=${label || context.labelled.has(name) ? nothing : name}
      @change=${(event: Event) => context.run(node["onChangeAction"], "Checkbox", context.path, event.currentTarget as Element)}
    />${label ? html`<span dir="auto">${label}</span>` : nothing}
  </label>`;
}

export function renderRadioGroup(node: WidgetNode, context: WidgetContext): Shown {
  const name = text(node["name"]);
  const group = controlId(context, name);
  const options = readOptions(node["options"]);
  const shown = takeRoom(options, context);
  return html`<div
    class="radios ${node["direction"] === "col" ? "col" : "row"}"
    id=${group}
    role="radiogroup"
    aria-labelledby=${context.labelled.has(name) && !node["ariaLabel"] ? `${group}-label` : nothing}
    aria-label=${text(node["ariaLabel"]) || (context.labelled.has(name) ? nothing : name)}
    aria-required=${node["required"] === true ? "true" : nothing}
    @change=${(event: Event) => context.run(node["onChangeAction"], "RadioGroup", context.path, event.currentTarget as Element)}
  >
    ${shown.map(
      (option) => html`<label class="choice">
        <input
          type="radio"
          name=${group}
          data-field=${name}
          value=${option.value}
          .defaultChecked=${option.value === node["defaultValue"]}
          ?required=${node["required"] === true}
          ?disabled=${node["disabled"] === true || option.disabled}
        /><span dir="auto">${option.label}</span>
      </label>`,
    )}
    ${moreButton(options.length - shown.length, context)}
  </div>`;
}
