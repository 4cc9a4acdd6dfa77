/** What the parts of a widget need from the element that shows it. */

import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";

import type { WidgetHost } from "../contracts";
import type { Bound } from "./actions";
import { childrenOf, keysOf, type WidgetNode } from "./types";

/** How much more of a widget may be shown at once, counted in components. */
export interface Room {
  left: number;
  /** Something did not find room. */
  isFull: boolean;
}

/** Components inside of each other; what lies deeper is not shown. */
export const DEEPEST = 40;

export interface WidgetContext {
  readonly host: WidgetHost;
  readonly room: Room;
  readonly depth: number;
  /** The scheme of what the component stands on. */
  readonly scheme: "light" | "dark";
  /** More may come: what the widget marks as streaming shows that it grows. */
  readonly active: boolean;
  /** Path of keys from the root to the node, unique in the widget. */
  readonly path: string;
  /** Path of the nearest form; controls and labels of one form share it. */
  readonly form: string;
  /** Names of the fields that have a Label. */
  readonly labelled: ReadonlySet<string>;
  /** Whether the node's action is under way. */
  isPending(path: string): boolean;
  /** Runs the action of a node; `origin` is the element it was used on. */
  run(action: unknown, bound: Bound, path: string, origin: Element): void;
  /** Shows one node. */
  render(node: WidgetNode, context: WidgetContext): TemplateResult | typeof nothing;
  /** Whether a collapsible part was opened or closed by the user; undefined if neither. */
  toggled(path: string): boolean | undefined;
  toggle(path: string, open: boolean): void;
  /** Makes room for more; undefined while room is made without being asked for. */
  readonly more: (() => void) | undefined;
}

/** As many entries as there is room for, each of so many components; the others wait. */
export function takeRoom<Entry>(entries: readonly Entry[], context: WidgetContext, each = 1): readonly Entry[] {
  const { room } = context;
  const count = Math.max(0, Math.min(entries.length, Math.floor(room.left / each)));
  room.left -= count * each;
  if (count === entries.length) return entries;
  room.left = 0;
  room.isFull = true;
  return entries.slice(0, count);
}

/** The button that shows more of a list that is not shown whole. */
export function moreButton(count: number, context: WidgetContext): TemplateResult | typeof nothing {
  if (count <= 0 || !context.more) return nothing;
  return html`<button type="button" class="more" @click=${context.more}>${context.host.translate("widget.more", { count })}</button>`;
}

/** Shows the children of a node, each with a key that keeps its element through updates. */
export function renderChildren(node: WidgetNode, context: WidgetContext): unknown {
  const all = childrenOf(node);
  const children = takeRoom(all, context);
  const keys = keysOf(children);
  const shown = repeat(
    children,
    (_child, place) => keys[place]!,
    (child, place) => context.render(child, { ...context, path: `${context.path}/${keys[place]!}` }),
  );
  return children.length === all.length ? shown : html`${shown}${moreButton(all.length - children.length, context)}`;
}

/** Id of a form's control, for its label. */
export function controlId(context: WidgetContext, name: string): string {
  return `field${`${context.form} ${name}`.replace(/[^\w]/g, (character) => `-${character.codePointAt(0)!.toString(16)}`)}`;
}

export function icon(name: unknown, context: WidgetContext, className = ""): TemplateResult | typeof nothing {
  return typeof name === "string" && name !== "" ? html`<ck-icon class=${className} .name=${name} .host=${context.host}></ck-icon>` : nothing;
}
