/** Text, Title, Caption, Markdown, Badge, Icon, Label. */

import { html, nothing, type TemplateResult } from "lit";

import "../content/markdown";
import { readColor } from "./colors";
import { controlId, icon, type WidgetContext } from "./context";
import { checkPattern } from "./forms";
import { readLength, type Styles } from "./sizes";
import { styled } from "../content/styled";
import { type Dict, isDict, oneOf, text, type WidgetNode } from "./types";

type Shown = TemplateResult | typeof nothing;

const TEXT_SIZES = ["xs", "sm", "md", "lg", "xl"] as const;
const TITLE_SIZES = ["sm", "md", "lg", "xl", "2xl", "3xl", "4xl", "5xl"] as const;
const CAPTION_SIZES = ["sm", "md", "lg"] as const;
const WEIGHTS = ["normal", "medium", "semibold", "bold"] as const;

function textStyles(node: WidgetNode): Styles {
  const styles: Styles = {};
  const color = readColor(node["color"], "text");
  if (color !== null) styles["color"] = color;
  const { textAlign, maxLines, minLines } = node as Dict;
  if (textAlign === "center" || textAlign === "end") styles["text-align"] = textAlign;
  if (typeof maxLines === "number" && maxLines > 0 && node["truncate"] !== true) styles["-webkit-line-clamp"] = String(Math.trunc(maxLines));
  if (typeof minLines === "number" && minLines > 0) styles["min-height"] = `${Math.min(minLines, 60)}lh`;
  const width = readLength(node["width"], "pixel");
  if (width !== null) styles["width"] = width;
  return styles;
}

function textClasses(node: WidgetNode, kind: string, size: string, growing = false): string {
  const weight = typeof node["weight"] === "string" ? `weight-${oneOf(node["weight"], WEIGHTS, "normal")}` : "";
  const flags = [
    node["truncate"] === true ? "truncate" : "",
    typeof node["maxLines"] === "number" && node["truncate"] !== true ? "clamp" : "",
    node["italic"] === true ? "italic" : "",
    node["lineThrough"] === true ? "struck" : "",
    growing && node["streaming"] === true ? "streaming" : "",
  ];
  return [kind, `${kind}-${size}`, weight, ...flags].filter(Boolean).join(" ");
}

function editableText(node: WidgetNode, editable: Dict, context: WidgetContext): TemplateResult {
  const name = text(editable["name"]);
  const pattern = text(editable["pattern"]);
  const classes = `${textClasses(node, "text", oneOf(node["size"], TEXT_SIZES, "md"))} editable`;
  const { translate } = context.host;
  return html`<textarea
    class=${classes}
    style=${styled(textStyles(node))}
    id=${controlId(context, name)}
    data-field=${name}
    dir="auto"
    rows=${typeof node["minLines"] === "number" ? Math.max(1, node["minLines"]) : 1}
    placeholder=${text(editable["placeholder"]) || nothing}
    aria-label=${context.labelled.has(name) ? nothing : text(editable["placeholder"]) || name}
    autocomplete=${text(editable["autoComplete"]) || (editable["allowAutofillExtensions"] === true ? nothing : "off")}
    data-auto-focus=${editable["autoFocus"] === true ? "" : nothing}
    data-auto-select=${editable["autoSelect"] === true ? "" : nothing}
    ?required=${editable["required"] === true}
    .defaultValue=${text(node["value"])}
    @input=${(event: Event) => {
      if (pattern) checkPattern(event.target as HTMLTextAreaElement, pattern, translate("widget.invalid"));
    }}
  ></textarea>`;
}

export function renderText(node: WidgetNode, context: WidgetContext): Shown {
  if (isDict(node["editable"])) return editableText(node, node["editable"], context);
  const classes = textClasses(node, "text", oneOf(node["size"], TEXT_SIZES, "md"), context.active);
  return html`<div class=${classes} style=${styled(textStyles(node))} dir="auto">${text(node["value"])}</div>`;
}

export function renderTitle(node: WidgetNode): Shown {
  const classes = textClasses(node, "title", oneOf(node["size"], TITLE_SIZES, "md"));
  return html`<div class=${classes} style=${styled(textStyles(node))} role="heading" aria-level="3" dir="auto">${text(node["value"])}</div>`;
}

export function renderCaption(node: WidgetNode): Shown {
  const classes = textClasses(node, "caption", oneOf(node["size"], CAPTION_SIZES, "md"));
  return html`<div class=${classes} style=${styled(textStyles(node))} dir="auto">${text(node["value"])}</div>`;
}

export function renderMarkdown(node: WidgetNode, context: WidgetContext): Shown {
  return html`<ck-markdown .text=${text(node["value"])} .streaming=${context.active && node["streaming"] === true} .host=${context.host}></ck-markdown>`;
}

export function renderBadge(node: WidgetNode): Shown {
  const color = oneOf(node["color"], ["secondary", "success", "danger", "warning", "info", "discovery"], "secondary");
  const variant = oneOf(node["variant"], ["solid", "soft", "outline"], "soft");
  const size = oneOf(node["size"], ["sm", "md", "lg"], "sm");
  const pill = node["pill"] === true ? "pill" : "";
  return html`<span class="badge tone-${color} variant-${variant} badge-${size} ${pill}" dir="auto">${text(node["label"])}</span>`;
}

export function renderIcon(node: WidgetNode, context: WidgetContext): Shown {
  const size = oneOf(node["size"], ["xs", "sm", "md", "lg", "xl", "2xl", "3xl"], "md");
  const color = readColor(node["color"], "text");
  return html`<span class="icon icon-${size}" style=${styled(color === null ? {} : { color })}>${icon(node["name"], context)}</span>`;
}

export function renderLabel(node: WidgetNode, context: WidgetContext): Shown {
  const size = oneOf(node["size"], TEXT_SIZES, "sm");
  const weight = oneOf(node["weight"], WEIGHTS, "medium");
  return html`<label
    class="${textClasses({ ...node, weight }, "text", size)} label"
    style=${styled(textStyles(node))}
    id="${controlId(context, text(node["fieldName"]))}-label"
    for=${controlId(context, text(node["fieldName"]))}
    dir="auto"
    >${text(node["value"])}</label
  >`;
}
