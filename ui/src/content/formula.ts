/** Formulas as MathML, with temml loaded when the first formula asks for it. */

/** A formula longer than this, in UTF-16 units, or deeper, is shown as its source. */
const LONGEST = 2_000;
const DEEPEST = 30;
/** Nodes of one formula: macros may make much of little. */
const MOST_NODES = 4_000;

const MATHML = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set(
  "math semantics mrow mi mo mn ms mtext mspace mpadded mphantom mfrac msqrt mroot mstyle merror msub msup msubsup munder mover munderover mmultiscripts mprescripts none mtable mtr mtd menclose".split(" "),
);
const ATTRIBUTES = new Set(
  "class display displaystyle scriptlevel mathvariant mathcolor mathsize stretchy fence separator form accent accentunder lspace rspace width height depth voffset minsize maxsize symmetric movablelimits largeop linethickness columnalign rowspacing columnspacing columnlines rowlines columnspan notation dir".split(" "),
);

/** A node of the tree that temml makes: an element, a text, or a group of nodes. */
interface TreeNode {
  readonly type?: string;
  readonly text?: unknown;
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly classes?: readonly unknown[];
  readonly children?: readonly TreeNode[];
}

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

/** Builds nodes out of temml's tree, without links, styles and annotations; no markup is parsed. */
class TreeBuilder {
  #count = 0;

  build(tree: TreeNode, to: Node, depth = 0): void {
    this.#count += 1;
    if (this.#count > MOST_NODES || depth > 200) throw new Error("The formula has too many parts.");
    if (typeof tree.text === "string") {
      to.appendChild(document.createTextNode(tree.text));
      return;
    }
    let parent = to;
    if (tree.type !== undefined && tree.type !== "span") {
      if (!ELEMENTS.has(tree.type)) return;
      const node = document.createElementNS(MATHML, tree.type);
      for (const [name, value] of Object.entries(tree.attributes ?? {})) if (ATTRIBUTES.has(name)) node.setAttribute(name, String(value));
      const classes = (tree.classes ?? []).filter(Boolean).join(" ");
      if (classes) node.setAttribute("class", classes);
      parent = to.appendChild(node);
    }
    for (const child of tree.children ?? []) this.build(child, parent, depth + 1);
  }
}

/** Whether braces and `\left`s open more than `DEEPEST` levels: temml reads them by recursion. */
function isDeep(tex: string): boolean {
  let depth = 0;
  for (const [sign] of tex.matchAll(/\\\\|\\[{}]|[{}]|\\left\b|\\right\b|\\begin\b|\\end\b/g)) {
    if (sign === "{" || sign === "\\left" || sign === "\\begin") depth += 1;
    else if (sign === "}" || sign === "\\right" || sign === "\\end") depth = Math.max(0, depth - 1);
    if (depth > DEEPEST) return true;
  }
  return /(?:[\^_]\s*){30}|(?:\\(?:sqrt|frac|overline|underline|hat|vec|mathrm|text)\s*){30}/.test(tex);
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
  if (tex.length > LONGEST || isDeep(tex)) return null;
  const temml = await load();
  let formula: DocumentFragment | null = null;
  try {
    const tree = temml.__renderToMathMLTree(tex, {
      displayMode: display,
      throwOnError: true,
      trust: false,
      strict: false,
      annotate: false,
      maxSize: [50, 50],
      maxExpand: 200,
    }) as TreeNode;
    formula = document.createDocumentFragment();
    new TreeBuilder().build(tree, formula);
  } catch {
    formula = null;
  }
  remember(keyOf(tex, display), formula);
  return renderedFormula(tex, display) ?? null;
}
