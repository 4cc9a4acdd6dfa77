/** Icons by name: the protocol's own, and `lucide:` ones from the whole set, loaded when the first is asked for. */

import { css } from "lit";
import type { IconNode } from "lucide";

import type { ContentHost } from "../contracts";
import { filledIcons, icons } from "./iconSet";
import { StyledElement } from "./styledElement";

const SVG = "http://www.w3.org/2000/svg";

/** Draws an icon of lucide's form; every icon of the element comes from here. */
export function drawIcon(node: IconNode, filled = false): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  const attributes: Record<string, string> = {
    viewBox: "0 0 24 24",
    width: "1em",
    height: "1em",
    fill: filled ? "currentColor" : "none",
    stroke: "currentColor",
    "stroke-width": "1.75",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
    "aria-hidden": "true",
    focusable: "false",
  };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  for (const [tag, details] of node) {
    const shape = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(details)) if (value !== undefined) shape.setAttribute(name, String(value));
    // The check inside a filled disc has to stand out from it.
    if (filled && tag === "path" && node.length > 1) shape.setAttribute("class", "cut");
    svg.append(shape);
  }
  return svg;
}

/** Whether a name is drawn without loading anything. */
export function isKnownIcon(name: string): boolean {
  return Object.hasOwn(icons, name);
}

/** Where text runs from right to left, forward is to the left. */
function turning(name: string, svg: SVGSVGElement): SVGSVGElement {
  if (/^(?:lucide:)?(?:chevrons?|arrow)-(?:left|right)$/.test(name)) svg.setAttribute("class", "turns");
  return svg;
}

/** Draws a known icon; a dot for others. */
export function iconElement(name: string): SVGSVGElement {
  const known = isKnownIcon(name);
  return turning(name, drawIcon(icons[known ? name : "dot"]!, known ? filledIcons.has(name) : true));
}

/** `lucide:arrow-up` as the set names it, `ArrowUp`; null for other names. */
export function lucideName(name: string): string | null {
  const match = /^lucide:([a-z0-9]+(?:-[a-z0-9]+)*)$/.exec(name);
  if (!match) return null;
  return match[1]!.replace(/(?:^|-)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

async function lucideIcon(name: string): Promise<SVGSVGElement | null> {
  const { allIcons } = await import("./iconLibrary");
  const node = Object.hasOwn(allIcons, name) ? (allIcons as Record<string, IconNode>)[name] : undefined;
  return node ? drawIcon(node) : null;
}

const unknown = new Set<string>();

/** `<ck-icon>`: one icon, as high as the text around it, invisible to screen readers. */
export class CkIcon extends StyledElement {
  static override properties = { name: { type: String }, host: { attribute: false } };
  static override styles = css`
    :host {
      display: inline-flex;
      flex: none;
      inline-size: 1em;
      block-size: 1em;
      vertical-align: -0.125em;
    }
    :host(:dir(rtl)) .turns {
      scale: -1 1;
    }
    .cut {
      fill: none;
      stroke: var(--ck-color-surface, light-dark(#ffffff, #18181b));
    }
  `;
  declare name: string;
  declare host: ContentHost | null;

  constructor() {
    super();
    this.name = "dot";
    this.host = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.setAttribute("aria-hidden", "true");
  }

  protected override render(): SVGSVGElement {
    return iconElement(this.name);
  }

  protected override updated(): void {
    const { name } = this;
    if (isKnownIcon(name) || unknown.has(name)) return;
    const lucide = lucideName(name);
    const found = lucide ? lucideIcon(lucide).catch(() => null) : Promise.resolve(null);
    void found.then((svg) => {
      if (svg && this.name === name) this.renderRoot.querySelector("svg")?.replaceWith(turning(name, svg));
      else if (!svg) {
        unknown.add(name);
        this.host?.onLog("icon.unknown", { name });
      }
    });
  }
}

if (!customElements.get("ck-icon")) customElements.define("ck-icon", CkIcon);

declare global {
  interface HTMLElementTagNameMap {
    "ck-icon": CkIcon;
  }
}
