/** The only way in which a string becomes markup: through DOMPurify, with a short list of what may stay. */

import createDOMPurify, { type Config, type DOMPurify } from "dompurify";

const COMMON: Config = {
  RETURN_DOM_FRAGMENT: true,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOW_UNKNOWN_PROTOCOLS: false,
  FORBID_ATTR: ["style", "id", "name", "slot", "is", "part"],
  SANITIZE_DOM: true,
};

/** HTML that a model may mix into markdown: text structure, no addresses, no classes. */
const HTML: Config = {
  ...COMMON,
  ALLOWED_TAGS: [
    ..."b i em strong u s del ins sub sup kbd mark small code pre br hr p div span blockquote q cite abbr".split(" "),
    ..."ul ol li dl dt dd table caption thead tbody tfoot tr th td details summary h1 h2 h3 h4 h5 h6".split(" "),
  ],
  ALLOWED_ATTR: ["colspan", "rowspan", "scope", "title", "open", "start", "reversed", "dir", "lang"],
};

const FORMULA: Config = {
  ...COMMON,
  ALLOWED_TAGS: [
    ..."math semantics mrow mi mo mn ms mtext mspace mpadded mphantom mfrac msqrt mroot mstyle merror".split(" "),
    ..."msub msup msubsup munder mover munderover mmultiscripts mprescripts none mtable mtr mtd menclose".split(" "),
  ],
  ALLOWED_ATTR: [
    ..."class display displaystyle scriptlevel mathvariant mathcolor mathsize stretchy fence separator form accent".split(" "),
    ..."accentunder lspace rspace width height depth voffset minsize maxsize symmetric movablelimits largeop".split(" "),
    ..."linethickness columnalign rowspacing columnspacing columnlines rowlines columnspan notation dir".split(" "),
  ],
};

const SPANS: Config = { ...COMMON, ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"] };

const MATHML = "http://www.w3.org/1998/Math/MathML";
const XHTML = "http://www.w3.org/1999/xhtml";

let purifier: DOMPurify | null = null;

/** Builds anew what is on the list: a second lock, which does not depend on how the browser iterates or reparses. */
function copyAllowed(from: Node, to: Node, config: Config): void {
  for (const child of from.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) to.appendChild(document.createTextNode(child.textContent ?? ""));
    if (!(child instanceof Element)) continue;
    const name = child.localName;
    const space = child.namespaceURI === MATHML ? MATHML : XHTML;
    if (!config.ALLOWED_TAGS!.includes(name) || (config === FORMULA) !== (space === MATHML && name !== "span")) continue;
    const copy = document.createElementNS(space, name);
    for (const { name: attribute, value } of child.attributes) {
      if ((config.ALLOWED_ATTR as string[]).includes(attribute)) copy.setAttribute(attribute, value);
    }
    copyAllowed(child, copy, config);
    to.appendChild(copy);
  }
}

/**
 * Takes out style sheets and renames style and handler attributes: even where they are parsed to be thrown away,
 * browsers report them to the page's policy. What this misses is still thrown away.
 */
function withoutReported(markup: string): string {
  const rename = (tag: string): string => tag.replace(/([\s/"'])(style|on\w+)(?=\s*=)/gi, "$1data-x");
  const plain = markup.replace(/<style\b[\s\S]*?(?:<\/style\s*>|$)/gi, " ");
  return plain.replace(/<[a-z](?:"[^"]*"|'[^']*'|[^'">])*(?:>|$)/gi, rename).replace(/<[a-z][^>]*(?:>|$)/gi, rename);
}

function clean(markup: string, config: Config): DocumentFragment {
  purifier ??= createDOMPurify(window);
  const purified = purifier.sanitize(withoutReported(markup), config) as unknown as DocumentFragment;
  const fragment = document.createDocumentFragment();
  copyAllowed(purified, fragment, config);
  return fragment;
}

/** HTML out of markdown, reduced to the structure of text. */
export const sanitizeHtml = (markup: string): DocumentFragment => clean(markup, HTML);

/** MathML as temml writes it, without links, styles and annotations. */
export const sanitizeFormula = (markup: string): DocumentFragment => clean(markup, FORMULA);

/** Highlighted code: spans with classes. */
export const sanitizeSpans = (markup: string): DocumentFragment => clean(markup, SPANS);

let area: HTMLTextAreaElement | null = null;

/** Reads `&amp;` and its like; nothing else of HTML is interpreted. */
export function decodeEntities(text: string): string {
  if (!/&[#\w]/.test(text)) return text;
  area ??= document.implementation.createHTMLDocument("").createElement("textarea");
  area.innerHTML = text.replaceAll("<", "&lt;");
  return area.value;
}
