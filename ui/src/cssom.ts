/** Lit's `styleMap` for pages with a strict policy: it writes the first styles by script, too, never as an attribute. */

import { noChange } from "lit";
import { directive, Directive, type DirectiveParameters, type ElementPart, type PartInfo, PartType } from "lit/directive.js";
import type { StyleInfo } from "lit/directives/style-map.js";

class StyleProperties extends Directive {
  #names = new Set<string>();

  constructor(part: PartInfo) {
    super(part);
    if (part.type !== PartType.ATTRIBUTE || part.name !== "style" || (part.strings?.length ?? 0) > 2) {
      throw new Error("styleMap must be all of the attribute style.");
    }
  }

  render(_styles: Readonly<StyleInfo>): unknown {
    return noChange;
  }

  override update(part: unknown, [styles]: DirectiveParameters<this>): unknown {
    const { style } = (part as ElementPart).element as HTMLElement;
    for (const name of this.#names) if (styles[name] == null) style.removeProperty(name);
    this.#names = new Set();
    for (const [key, value] of Object.entries(styles)) {
      if (value == null) continue;
      const name = key.includes("-") ? key : key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      this.#names.add(name);
      style.setProperty(name, String(value));
    }
    return noChange;
  }
}

export const styleMap = directive(StyleProperties);
