/** Box, Row, Col, Form, Spacer, Divider, Transition, Image, Table. */

import { html, nothing, type TemplateResult } from "lit";
import { ifDefined } from "lit/directives/if-defined.js";

import { readImage } from "../content/urls";
import { readColor } from "./colors";
import { moreButton, renderChildren, takeRoom, type WidgetContext } from "./context";
import { groundStyles } from "./ground";
import { backgroundStyles, blockStyles, boxStyles, readLength, readSpacing, type Styles } from "./sizes";
import { styled } from "../content/styled";
import { childrenOf, oneOf, text, type WidgetNode } from "./types";

type Shown = TemplateResult | typeof nothing;

/** Shows Box, Row and Col. */
export function renderBox(node: WidgetNode, context: WidgetContext): Shown {
  const row = node.type === "Row" || (node.type === "Box" && node["direction"] === "row");
  const classes = `box ${row ? "row" : "col"} ${node.type.toLowerCase()}`;
  const { styles, scheme } = groundStyles(node["background"], context.scheme);
  return html`<div class=${classes} style=${styled({ ...boxStyles(node), ...styles })}>${renderChildren(node, { ...context, scheme })}</div>`;
}

export function renderForm(node: WidgetNode, context: WidgetContext): Shown {
  const { path } = context;
  const { styles, scheme } = groundStyles(node["background"], context.scheme);
  const inner: WidgetContext = { ...context, form: path, scheme };
  const pending = context.isPending(path);
  return html`<form
    class="box form ${node["direction"] === "row" ? "row" : "col"}"
    style=${styled({ ...boxStyles(node), ...styles })}
    ?inert=${pending}
    aria-busy=${pending ? "true" : nothing}
    @submit=${(event: Event) => {
      event.preventDefault();
      event.stopPropagation();
      const form = event.currentTarget as HTMLFormElement;
      context.run(node["onSubmitAction"], "Form", path, form);
    }}
  >
    ${renderChildren(node, inner)}
  </form>`;
}

export function renderSpacer(node: WidgetNode): Shown {
  const size = readLength(node["minSize"], "step");
  return html`<div class="spacer" style=${styled(size === null ? {} : { "min-width": size, "min-height": size })}></div>`;
}

export function renderDivider(node: WidgetNode): Shown {
  const styles: Styles = {};
  const color = readColor(node["color"], "border");
  const size = readLength(node["size"], "pixel");
  const spacing = readLength(node["spacing"], "step");
  if (color !== null) styles["--line"] = color;
  if (size !== null) styles["--size"] = size;
  if (spacing !== null) styles["--spacing"] = spacing;
  return html`<hr class="divider ${node["flush"] === true ? "flush" : ""}" style=${styled(styles)} />`;
}

export function renderTransition(node: WidgetNode, context: WidgetContext): Shown {
  return html`<div class="transition">${renderChildren({ ...node, children: childrenOf(node).slice(0, 1) }, context)}</div>`;
}

const POSITIONS = ["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"] as const;

export function renderImage(node: WidgetNode, context: WidgetContext): Shown {
  const address = text(node["src"]);
  // The application's own code says what a widget shows: where its thread names no hosts, any https host may be asked.
  const source = readImage(address, context.host.allowedImageDomains, undefined, context.host.origins);
  const styles = { ...blockStyles(node), ...backgroundStyles(node["background"]) };
  const alt = text(node["alt"]);
  const classes = `image ${node["frame"] === true ? "frame" : ""} ${node["flush"] === true ? "flush" : ""}`;
  if (source === null) {
    context.host.onLog("image.refused", { url: address });
    return html`<div class="${classes} refused" style=${styled(styles)} role="img" aria-label=${alt || nothing}>
      <ck-icon name="image"></ck-icon>${alt ? html`<span dir="auto">${alt}</span>` : nothing}
    </div>`;
  }
  styles["object-fit"] = oneOf(node["fit"], ["cover", "contain", "fill", "scale-down", "none"], "cover");
  styles["object-position"] = oneOf(node["position"], POSITIONS, "center");
  return html`<img class=${classes} style=${styled(styles)} src=${source} alt=${alt} decoding="async" referrerpolicy="no-referrer" />`;
}

const COLUMN_SIZES: Record<string, string> = { xs: "3.5em", sm: "5.5em", md: "8.5em", lg: "13em", xl: "19em" };

function renderCell(node: WidgetNode, header: boolean, context: WidgetContext): TemplateResult {
  const styles: Styles = { ...readSpacing("padding", node["padding"]) };
  const column = text(node["colSize"]);
  const width = readLength(node["width"], "pixel") ?? (Object.hasOwn(COLUMN_SIZES, column) ? COLUMN_SIZES[column]! : null);
  if (width !== null) Object.assign(styles, { width, "min-width": width });
  styles["text-align"] = oneOf(node["align"], ["start", "center", "end"], "start");
  styles["vertical-align"] = { start: "top", center: "middle", end: "bottom" }[oneOf(node["vAlign"], ["start", "center", "end"], "center")];
  const span = (value: unknown): number | undefined => (typeof value === "number" && value > 1 ? Math.min(value, 100) : undefined);
  const inside = html`<div class="cell align-${styles["text-align"]}">${renderChildren(node, context)}</div>`;
  return header
    ? html`<th scope="col" style=${styled(styles)} colspan=${ifDefined(span(node["colSpan"]))} rowspan=${ifDefined(span(node["rowSpan"]))}>${inside}</th>`
    : html`<td style=${styled(styles)} colspan=${ifDefined(span(node["colSpan"]))} rowspan=${ifDefined(span(node["rowSpan"]))}>${inside}</td>`;
}

function renderRow(node: WidgetNode, context: WidgetContext): TemplateResult {
  const header = node["header"] === true;
  return html`<tr>
    ${childrenOf(node).slice(0, 200).map((cell, place) => renderCell(cell, header, { ...context, path: `${context.path}/${text(cell.key) || place}` }))}
  </tr>`;
}

export function renderTable(node: WidgetNode, context: WidgetContext): Shown {
  const all = childrenOf(node);
  const taken = takeRoom(all, context, Math.max(1, ...all.slice(0, 3).map((row) => Math.min(200, childrenOf(row).length))));
  const rows = taken.map((row, place) => ({ row, context: { ...context, path: `${context.path}/${text(row.key) || place}` } }));
  const split = rows.findIndex(({ row }) => row["header"] !== true);
  const heads = split < 0 ? rows : rows.slice(0, split);
  const bodies = split < 0 ? [] : rows.slice(split);
  return html`<div class="table" role="group" tabindex="0" aria-label=${context.host.translate("table.label")}>
    <table>
      ${heads.length > 0 ? html`<thead>${heads.map((one) => renderRow(one.row, one.context))}</thead>` : nothing}
      <tbody>
        ${bodies.map((one) => renderRow(one.row, one.context))}
      </tbody>
    </table>
    ${moreButton(all.length - taken.length, context)}
  </div>`;
}
