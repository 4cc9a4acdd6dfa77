/** Takes out of style sheets in templates what only people read. */

import type { Plugin } from "vite";

/** A style sheet's text between two interpolations, with no more spaces than it needs. */
function squeeze(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/\s+/g, " ")
    .replace(/ ?([{};]) ?/g, "$1")
    .replace(/, /g, ",")
    .replace(/;\}/g, "}");
}

/** Shortens every css`…` of our sources; they hold no backticks and no strings with spaces that matter in a row. */
export function minifyCss(): Plugin {
  return {
    name: "chatkit-minify-css",
    apply: "build",
    enforce: "pre",
    transform(code, id) {
      if (id.includes("node_modules") || !id.endsWith(".ts") || !code.includes("css`")) return null;
      const short = code.replace(/\bcss`([^`]*)`/g, (_all, sheet: string) => {
        const parts = sheet.split(/(\$\{[^}]*\})/);
        return `css\`${parts.map((part) => (part.startsWith("${") ? part : squeeze(part))).join("")}\``;
      });
      return { code: short, map: null };
    },
  };
}
