/** Formulas as MathML, with temml loaded when the first formula asks for it. */

import { sanitizeFormula } from "./sanitize";

/** A formula longer than this, in UTF-16 units, is shown as its source. */
const LONGEST = 5_000;

const rendered = new Map<string, DocumentFragment | null>();
let library: Promise<typeof import("temml").default> | null = null;

function load(): Promise<typeof import("temml").default> {
  library ??= import("temml").then(
    (module) => module.default,
    (error: unknown) => {
      library = null;
      throw error;
    },
  );
  return library;
}

function remember(key: string, formula: DocumentFragment | null): void {
  if (rendered.size > 500) rendered.delete(rendered.keys().next().value!);
  rendered.set(key, formula);
}

function keyOf(tex: string, display: boolean): string {
  return `${display ? "d" : "i"} ${tex}`;
}

/** The formula where it was rendered before: undefined if not, null if it cannot be. */
export function renderedFormula(tex: string, display: boolean): DocumentFragment | null | undefined {
  const known = rendered.get(keyOf(tex, display));
  return known ? (known.cloneNode(true) as DocumentFragment) : known;
}

/** Renders TeX; null where it is no TeX that temml reads. Commands that link, load or style are refused. */
export async function renderFormula(tex: string, display: boolean): Promise<DocumentFragment | null> {
  const known = renderedFormula(tex, display);
  if (known !== undefined) return known;
  const temml = await load();
  let formula: DocumentFragment | null = null;
  if (tex.length <= LONGEST) {
    try {
      const markup = temml.renderToString(tex, {
        displayMode: display,
        throwOnError: true,
        trust: false,
        strict: false,
        annotate: false,
        maxSize: [50, 50],
        maxExpand: 200,
      });
      formula = sanitizeFormula(markup);
    } catch {
      formula = null;
    }
  }
  remember(keyOf(tex, display), formula);
  return renderedFormula(tex, display) ?? null;
}
