/** Highlighting of code, loaded when the first code block asks for it. */

import type { LanguageFn } from "highlight.js";

import { decodeEntities } from "./entities";

const LANGUAGES: Record<string, () => Promise<{ default: LanguageFn }>> = {
  bash: () => import("highlight.js/lib/languages/bash"),
  c: () => import("highlight.js/lib/languages/c"),
  cpp: () => import("highlight.js/lib/languages/cpp"),
  csharp: () => import("highlight.js/lib/languages/csharp"),
  css: () => import("highlight.js/lib/languages/css"),
  diff: () => import("highlight.js/lib/languages/diff"),
  go: () => import("highlight.js/lib/languages/go"),
  java: () => import("highlight.js/lib/languages/java"),
  javascript: () => import("highlight.js/lib/languages/javascript"),
  json: () => import("highlight.js/lib/languages/json"),
  python: () => import("highlight.js/lib/languages/python"),
  rust: () => import("highlight.js/lib/languages/rust"),
  sql: () => import("highlight.js/lib/languages/sql"),
  typescript: () => import("highlight.js/lib/languages/typescript"),
  xml: () => import("highlight.js/lib/languages/xml"),
  yaml: () => import("highlight.js/lib/languages/yaml"),
};

const ALIASES: Record<string, string> = {
  sh: "bash",
  shell: "bash",
  zsh: "bash",
  console: "bash",
  h: "c",
  "c++": "cpp",
  cc: "cpp",
  hpp: "cpp",
  cs: "csharp",
  "c#": "csharp",
  patch: "diff",
  golang: "go",
  js: "javascript",
  jsx: "javascript",
  mjs: "javascript",
  jsonc: "json",
  json5: "json",
  py: "python",
  py3: "python",
  python3: "python",
  rs: "rust",
  postgresql: "sql",
  sqlite: "sql",
  ts: "typescript",
  tsx: "typescript",
  html: "xml",
  svg: "xml",
  xhtml: "xml",
  vue: "xml",
  yml: "yaml",
};

/** Code beyond this length, in UTF-16 units, or with a line beyond the other, stays plain: highlighting it would stop the page. */
const LONGEST = 6_000;
const LONGEST_LINE = 600;

/** The name under which a language of a fence's info string is known here; null for unknown ones. */
export function knownLanguage(name: string): string | null {
  const lower = name.toLowerCase();
  const language = Object.hasOwn(ALIASES, lower) ? ALIASES[lower]! : lower;
  return Object.hasOwn(LANGUAGES, language) ? language : null;
}

type Library = typeof import("highlight.js/lib/core").default;

const loaded = new Map<string, Promise<void>>();
let ready: Library | null = null;

/** Reads the spans with classes that the library writes, and nothing else of what it might. */
function readSpans(markup: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  const open: Node[] = [fragment];
  for (const [part, classes] of markup.matchAll(/<span class="([\w -]*)">|<\/span>|[^<]+|</g)) {
    if (classes !== undefined) {
      const span = document.createElement("span");
      span.className = classes;
      open.at(-1)!.appendChild(span);
      open.push(span);
    } else if (part === "</span>") {
      if (open.length > 1) open.pop();
    } else open.at(-1)!.appendChild(document.createTextNode(decodeEntities(part)));
  }
  return fragment;
}

/** Colours may be lost, letters never: a highlighting that says something else is dropped. */
function paint(library: Library, code: string, language: string): DocumentFragment | null {
  const fragment = readSpans(library.highlight(code, { language, ignoreIllegals: true }).value);
  return fragment.textContent === code ? fragment : null;
}

/** Highlights code at once, where library and language are there already and it is not too long; null otherwise. */
export function highlightNow(code: string, name: string): DocumentFragment | null {
  const language = knownLanguage(name);
  if (language === null || code.length > LONGEST || !ready?.getLanguage(language)) return null;
  if (code.split("\n").some((line) => line.length > LONGEST_LINE)) return null;
  return paint(ready, code, language);
}

/** Loads what highlights a language; false for unknown ones. */
export async function loadLanguage(name: string): Promise<boolean> {
  const language = knownLanguage(name);
  if (language === null) return false;
  const { default: library } = await import("highlight.js/lib/core");
  if (!loaded.has(language)) {
    loaded.set(
      language,
      LANGUAGES[language]!().then((module) => library.registerLanguage(language, module.default)),
    );
  }
  try {
    await loaded.get(language);
  } catch (error) {
    loaded.delete(language);
    throw error;
  }
  ready = library;
  return true;
}
