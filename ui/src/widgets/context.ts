/** What the parts of a widget need from the element that shows it. */

import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";

import type { WidgetHost } from "../contracts";
import type { Bound } from "./actions";
import { childrenOf, keysOf, type WidgetNode } from "./types";

export interface WidgetContext {
  readonly host: WidgetHost;
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
}

/** Shows the children of a node, each with a key that keeps its element through updates. */
export function renderChildren(node: WidgetNode, context: WidgetContext): unknown {
  const children = childrenOf(node);
  const keys = keysOf(children);
  return repeat(
    children,
    (_child, place) => keys[place]!,
    (child, place) => context.render(child, { ...context, path: `${context.path}/${keys[place]!}` }),
  );
}

/** Id of a form's control, for its label. */
export function controlId(context: WidgetContext, name: string): string {
  return `field${`${context.form} ${name}`.replace(/[^\w]/g, (character) => `-${character.codePointAt(0)!.toString(16)}`)}`;
}

export function icon(name: unknown, context: WidgetContext, className = ""): TemplateResult | typeof nothing {
  return typeof name === "string" && name !== "" ? html`<ck-icon class=${className} .name=${name} .host=${context.host}></ck-icon>` : nothing;
}
