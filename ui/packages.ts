/** Says which npm packages are part of what is built: `packages.json`, and their licences in `licenses.txt`. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

interface Package {
  name: string;
  version: string;
  license: string;
}

/** The folder of the package that a module is of; null for our own. */
const FOLDER = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)(?=\/)/;

/** Emits both files; a package without a licence fails the build. */
export function packages(): Plugin {
  return {
    name: "chatkit-packages",
    apply: "build",
    generateBundle(_options, bundle) {
      const folders = new Set<string>();
      for (const output of Object.values(bundle)) {
        if (output.type !== "chunk") continue;
        for (const id of output.moduleIds) {
          const folder = FOLDER.exec(id)?.[0];
          if (folder) folders.add(folder);
        }
      }
      const found = [...folders].map((folder) => {
        const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Package;
        const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).sort();
        if (!license || files.length === 0) throw new Error(`The npm package ${name} has no licence to pass on.`);
        const text = files.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
        return { name, version, license, text };
      });
      found.sort((a, b) => (a.name < b.name ? -1 : 1));
      const list = found.map(({ name, version, license }) => ({ name, version, license }));
      const texts = found.map(({ name, version, license, text }) => `${name} ${version}, ${license}\n\n${text}\n`);
      this.emitFile({ type: "asset", fileName: "packages.json", source: `${JSON.stringify(list, null, 1)}\n` });
      const line = "-".repeat(80);
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: texts.join(`\n${line}\n\n`) });
    },
  };
}
