/** What the views of the shell share: they draw into the element's own shadow tree, where its styles and parts are. */

import { LitElement } from "lit";
import { property } from "lit/decorators.js";
import type { App } from "../controllers/app";

export abstract class ShellView extends LitElement {
  @property({ attribute: false }) app!: App;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected get shadow(): ShadowRoot {
    return this.getRootNode() as ShadowRoot;
  }

  protected readonly t = (key: string, args?: Record<string, string | number>): string => this.app.translate(key, args);
}

/** Registers a view, unless another copy of the script has. */
export function define(name: string, view: CustomElementConstructor): void {
  if (!customElements.get(name)) customElements.define(name, view);
}
