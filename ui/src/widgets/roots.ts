/** Card, ListView and its items, Basic. */

import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";

import { readImage } from "../content/urls";
import type { Bound } from "./actions";
import { icon, moreButton, renderChildren, takeRoom, type WidgetContext } from "./context";
import { groundStyles, type Scheme } from "./ground";
import { boxStyles, readBorder, readLength, readSpacing, type Styles } from "./sizes";
import { styled } from "../content/styled";
import { childrenOf, isDict, keysOf, oneOf, text, type WidgetNode } from "./types";

type Shown = TemplateResult | typeof nothing;

function themeOf(node: WidgetNode): Scheme | null {
  return node["theme"] === "light" || node["theme"] === "dark" ? node["theme"] : null;
}

function themeStyles(node: WidgetNode): Styles {
  const theme = themeOf(node);
  return theme ? { "color-scheme": theme } : {};
}

function renderStatus(status: unknown, context: WidgetContext): Shown {
  if (!isDict(status)) return nothing;
  const favicon = readImage(text(status["favicon"]), context.host.allowedImageDomains, undefined, context.host.origins);
  return html`<div class="status">
    ${favicon
      ? html`<img class="favicon ${status["frame"] === true ? "frame" : ""}" src=${favicon} alt="" referrerpolicy="no-referrer" />`
      : icon(status["icon"], context)}
    <span dir="auto">${text(status["text"])}</span>
  </div>`;
}

function cardButton(kind: "confirm" | "cancel", node: WidgetNode, context: WidgetContext): Shown {
  const part = node[kind];
  if (!isDict(part)) return nothing;
  const path = `${context.path}#${kind}`;
  const bound: Bound = kind === "confirm" ? "Card.confirm" : "Card.cancel";
  const pending = context.isPending(path);
  const submits = kind === "confirm" && node["asForm"] === true;
  return html`<button
    type=${submits ? "submit" : "button"}
    class="button size-md ${kind === "confirm" ? "tone-primary variant-solid" : "tone-secondary variant-outline"}"
    aria-busy=${pending ? "true" : nothing}
    aria-disabled=${pending ? "true" : nothing}
    @click=${(event: Event) => {
      if (!submits && !pending) context.run(part["action"], bound, path, event.currentTarget as Element);
    }}
  >
    <span class="button-inside"><span dir="auto">${text(part["label"])}</span></span>
    ${pending ? html`<span class="spinner" aria-hidden="true"></span>` : nothing}
  </button>`;
}

export function renderCard(node: WidgetNode, context: WidgetContext): Shown {
  const size = oneOf(node["size"], ["sm", "md", "lg", "full"], "md");
  const asForm = node["asForm"] === true;
  const ground = groundStyles(node["background"], themeOf(node) ?? context.scheme);
  const inner: WidgetContext = { ...context, ...(asForm ? { form: context.path } : {}), scheme: ground.scheme };
  const styles = { ...themeStyles(node), ...ground.styles, ...readBorder(node["border"]) };
  const padding = readSpacing("padding", node["padding"]);
  const pad = readLength(node["padding"], "step") ?? padding["padding-inline-start"] ?? null;
  if (pad !== null) styles["--pad"] = pad;
  const toggled = context.toggled(context.path);
  const collapsed = node["collapsed"] === true && toggled !== true;
  const { translate } = context.host;
  const foldable = node["collapsed"] === true;
  const body = html`<div class="card-body" style=${styled(padding)} ?inert=${collapsed}>${renderChildren(node, inner)}</div>
    ${foldable
      ? html`<button type="button" class="fold" aria-expanded=${!collapsed} @click=${() => context.toggle(context.path, collapsed)}>
          <ck-icon name="chevron-down"></ck-icon>${translate(collapsed ? "widget.expand" : "widget.collapse")}
        </button>`
      : nothing}
    ${(isDict(node["confirm"]) || isDict(node["cancel"])) && !collapsed
      ? html`<div class="card-actions">${cardButton("cancel", node, inner)}${cardButton("confirm", node, inner)}</div>`
      : nothing}`;
  const classes = `card card-${size} ${collapsed ? "collapsed" : ""}`;
  const status = renderStatus(node["status"], context);
  if (!asForm) return html`<div class=${classes} style=${styled(styles)}>${status}${body}</div>`;
  return html`<form
    class=${classes}
    style=${styled(styles)}
    @submit=${(event: Event) => {
      event.preventDefault();
      const confirm = isDict(node["confirm"]) ? node["confirm"]["action"] : null;
      context.run(confirm, "Card.confirm", `${context.path}#confirm`, event.currentTarget as Element);
    }}
  >
    ${status}${body}
  </form>`;
}

function focusEntry(entry: Element | undefined): void {
  if (!(entry instanceof HTMLElement)) return;
  const inside = entry.querySelector<HTMLElement>("button, input, textarea, a[href]");
  if (!inside) entry.tabIndex = -1;
  (inside ?? entry).focus({ preventScroll: true });
}

/** How many items a list shows before "Show more" when its limit is `auto`. */
const AUTO_LIMIT = 5;

export function renderListView(node: WidgetNode, context: WidgetContext): Shown {
  const children = childrenOf(node);
  const limit = node["limit"] === "auto" ? AUTO_LIMIT : typeof node["limit"] === "number" && node["limit"] > 0 ? node["limit"] : Infinity;
  const all = context.toggled(context.path) === true || children.length <= limit;
  const wanted = all ? children : children.slice(0, limit);
  const shown = takeRoom(wanted, context);
  const keys = keysOf(shown);
  const { translate } = context.host;
  return html`<div class="card list" style=${styled(themeStyles(node))}>
    ${renderStatus(node["status"], context)}
    <ul>
      ${repeat(
        shown,
        (_child, place) => keys[place]!,
        (child, place) => html`<li>${context.render(child, { ...context, scheme: themeOf(node) ?? context.scheme, path: `${context.path}/${keys[place]!}` })}</li>`,
      )}
    </ul>
    ${all || shown.length < wanted.length
      ? moreButton(wanted.length - shown.length, context)
      : html`<button
          type="button"
          class="more"
          @click=${(event: Event) => {
            const list = (event.currentTarget as Element).parentElement?.querySelector("ul");
            context.toggle(context.path, true);
            // The button is taken away: the focus moves to what it brought.
            setTimeout(() => focusEntry(list?.children[shown.length]));
          }}
        >
          ${translate("widget.showMore", { count: children.length - shown.length })}<ck-icon name="chevron-down"></ck-icon>
        </button>`}
  </div>`;
}

export function renderListViewItem(node: WidgetNode, context: WidgetContext): Shown {
  const { path } = context;
  const styles = boxStyles({ gap: node["gap"], align: node["align"] });
  const pending = context.isPending(path);
  const content = html`<div class="item-content" id="item${path.replace(/[^\w]/g, "-")}" style=${styled(styles)}>${renderChildren(node, context)}</div>`;
  if (!isDict(node["onClickAction"])) return html`<div class="item">${content}</div>`;
  return html`<div class="item clickable" aria-busy=${pending ? "true" : nothing}>
    <button
      type="button"
      class="hit"
      aria-labelledby="item${path.replace(/[^\w]/g, "-")}"
      aria-disabled=${pending ? "true" : nothing}
      @click=${(event: Event) => {
        if (!pending) context.run(node["onClickAction"], "ListViewItem", path, event.currentTarget as Element);
      }}
    ></button>
    ${content}${pending ? html`<span class="spinner" aria-hidden="true"></span>` : nothing}
  </div>`;
}

export function renderBasic(node: WidgetNode, context: WidgetContext): Shown {
  const row = node["direction"] === "row";
  const styles = { ...themeStyles(node), ...boxStyles({ gap: node["gap"], padding: node["padding"], align: node["align"], justify: node["justify"] }) };
  return html`<div class="box basic ${row ? "row" : "col"}" style=${styled(styles)}>${renderChildren(node, { ...context, scheme: themeOf(node) ?? context.scheme })}</div>`;
}
