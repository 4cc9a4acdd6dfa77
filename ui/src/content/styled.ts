/** Styles of one element, set property by property: a strict content security policy allows no `style` attribute. */

import { noChange } from "lit";
import { type AttributePart, Directive, directive, type DirectiveParameters, type PartInfo, PartType } from "lit/directive.js";

type Styles = Readonly<Record<string, string>>;

class StyledDirective extends Directive {
  #names: ReadonlySet<string> = new Set();

  constructor(part: PartInfo) {
    super(part);
    if (part.type !== PartType.ATTRIBUTE || part.name !== "style") throw new Error("styled() belongs into style=${...}");
  }

  override render(_styles: Styles): typeof noChange {
    return noChange;
  }

  override update(part: AttributePart, [styles]: DirectiveParameters<this>): typeof noChange {
    const { style } = part.element as HTMLElement;
    for (const name of this.#names) if (!(name in styles)) style.removeProperty(name);
    for (const [name, value] of Object.entries(styles)) style.setProperty(name, value);
    this.#names = new Set(Object.keys(styles));
    return noChange;
  }
}

/** For `style=${styled({...})}`; names are as in CSS. */
export const styled = directive(StyledDirective);
