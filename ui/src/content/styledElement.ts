/** An element with styles of its own that keeps them when it is moved into another document, such as an iframe's. */

import { adoptStyles, type CSSResultOrNative, LitElement } from "lit";

const sheets = new WeakMap<Document, Map<string, CSSStyleSheet>>();

export abstract class StyledElement extends LitElement {
  /** Styles of this element alone, which go before those of its class. */
  protected get ownStyles(): string {
    return "";
  }

  protected override createRenderRoot(): HTMLElement | DocumentFragment {
    const { shadowRootOptions } = this.constructor as typeof LitElement;
    const root = this.shadowRoot ?? this.attachShadow(shadowRootOptions);
    this.applyStyles(root);
    this.renderOptions.renderBefore ??= root.firstChild;
    return root;
  }

  /** Takes styles anew: `ownStyles` has changed, or the document. */
  protected applyStyles(root = this.shadowRoot): void {
    if (!root) return;
    const { elementStyles } = this.constructor as typeof LitElement;
    const { ownStyles, ownerDocument } = this;
    const view = ownerDocument.defaultView;
    // A document that is not shown has no styles to take.
    if (view === null) return;
    if (ownerDocument === document) adoptStyles(root, elementStyles);
    else root.adoptedStyleSheets = elementStyles.map((style) => sheetIn(ownerDocument, view, textOf(style)));
    if (ownStyles === "") return;
    const own = new (view as Window & typeof globalThis).CSSStyleSheet();
    own.replaceSync(ownStyles);
    root.adoptedStyleSheets = [own, ...root.adoptedStyleSheets];
  }

  adoptedCallback(): void {
    this.applyStyles();
  }
}

/** Sheets that are constructed are good in the document that made them only. */
function sheetIn(owner: Document, view: Window, text: string): CSSStyleSheet {
  const known = sheets.get(owner) ?? new Map<string, CSSStyleSheet>();
  sheets.set(owner, known);
  let sheet = known.get(text);
  if (!sheet) {
    sheet = new (view as Window & typeof globalThis).CSSStyleSheet();
    sheet.replaceSync(text);
    known.set(text, sheet);
  }
  return sheet;
}

function textOf(style: CSSResultOrNative): string {
  return "cssText" in style ? style.cssText : [...style.cssRules].map((rule) => rule.cssText).join("\n");
}
