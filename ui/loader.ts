/** Makes of the build what pages load: a script of one line, and the page of `chatkit serve`. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "vite";

/** The build's output that matters here, whatever bundler made it. */
interface Output {
  type: "chunk" | "asset";
  fileName: string;
  name?: string | undefined;
  names?: string[];
  isEntry?: boolean;
  /** Chunks that this one needs before it runs. */
  imports?: string[];
}

/**
 * Emits `chatkit.js`, which loads as a classic script and as a module.
 *
 * Pages that were made for the stock element have `<script src=".../chatkit.js" async>`; a classic script cannot have
 * static imports, but it can import() relative to its own address. A script from another origin that was not loaded
 * with CORS does not know its address, so it asks the document.
 */
export function loader(): Plugin {
  const source = (name: string): string => readFileSync(fileURLToPath(new URL(`src/page/${name}`, import.meta.url)), "utf8");
  return {
    name: "chatkit-loader",
    generateBundle(_options, bundle) {
      const outputs = Object.values(bundle) as unknown as Output[];
      const entry = (name: string): string => {
        const found = outputs.find((output) => output.type === "chunk" && output.isEntry && output.name === name);
        if (!found) throw new Error(`The build has no entry ${name}.`);
        return found.fileName;
      };
      const style = outputs.find((output) => output.type === "asset" && output.fileName.endsWith(".css"))?.fileName;
      if (!style) throw new Error("The build has no style sheet of the page.");
      const element = entry("element");
      const needed = new Set<string>();
      const collect = (fileName: string): void => {
        for (const name of outputs.find((output) => output.fileName === fileName)?.imports ?? []) {
          if (needed.has(name)) continue;
          needed.add(name);
          collect(name);
        }
      };
      collect(element);
      // All at once: one after the other they would cost a round trip each.
      const names = JSON.stringify([element, ...needed].map((name) => `./${name}`));
      const code =
        `(()=>{const s=document.currentScript,[p,...n]=${names}.map(f=>s&&s.src?new URL(f,s.src).href:f);` +
        "if(s&&s.src)for(const h of n){const l=document.createElement('link');l.rel='modulepreload';l.href=h;document.head.append(l)}" +
        "import(p)})();\n";
      this.emitFile({ type: "asset", fileName: "chatkit.js", source: code });
      this.emitFile({ type: "asset", fileName: "assets/icon.svg", source: source("icon.svg") });
      const html = source("index.html").replace("@PAGE_JS@", entry("page")).replace("@PAGE_CSS@", style);
      this.emitFile({ type: "asset", fileName: "index.html", source: html });
    },
  };
}

/**
 * Builds a module that pages import by its name: one file, whatever else is built, with nothing to load behind it.
 */
export function standalone(name: string): Plugin {
  let outDir = "";
  return {
    name: `chatkit-${name}`,
    apply: "build",
    configResolved(config) {
      outDir = config.build.outDir;
    },
    async closeBundle() {
      const entry = fileURLToPath(new URL(`src/${name}.ts`, import.meta.url));
      await build({
        configFile: false,
        publicDir: false,
        logLevel: "warn",
        build: {
          outDir,
          emptyOutDir: false,
          target: "es2022",
          modulePreload: false,
          rollupOptions: { input: entry, preserveEntrySignatures: "strict", output: { entryFileNames: `${name}.js` } },
        },
      });
    },
  };
}
