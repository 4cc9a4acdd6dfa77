/** How the modules of `src` may depend on each other, and how large they may be. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";

/** Each module imports those of its own row and of rows above it; those that share a row stand beside each other, and do not. */
const LAYERS = [
  ["contracts.ts"],
  ["protocol", "theme"],
  ["follow", "state", "content"],
  ["client", "resumable", "icons", "strings", "styles", "widgets"],
  ["controllers"],
  ["views"],
  ["element", "resumable-fetch.ts"],
  ["page", "main.ts", "gallery"],
  ["gallery.ts"],
];

const LINES = 450;

const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
const source = new Map(files.map((name) => [name, readFileSync(join("src", name), "utf8")]));

/** What a module imports of `src`, types and what is loaded later among it. */
function importsOf(name: string): string[] {
  const found = [...(source.get(name) ?? "").matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"(\.[^"]+)"/g)].map((match) => normalize(join(dirname(name), match[1] ?? "")));
  return found.flatMap((path) => [path, `${path}.ts`, `${path}/index.ts`].filter((candidate) => source.has(candidate)));
}

function folderOf(name: string): string {
  return name.split("/")[0] ?? name;
}

test("imports are read, and every module has its layer", () => {
  expect(importsOf("client/client.ts")).toContain("follow/follow.ts");
  expect(importsOf("widgets/load.ts")).toEqual(["widgets/index.ts"]);
  expect(new Set(files.map(folderOf))).toEqual(new Set(LAYERS.flat()));
  for (const folder of LAYERS.flat()) expect(existsSync(join("src", folder)), folder).toBe(true);
});

test("no imports run in a circle", () => {
  const done = new Set<string>();
  const walk = (name: string, path: readonly string[]): void => {
    if (path.includes(name)) throw new Error(`A circle: ${[...path.slice(path.indexOf(name)), name].join(" -> ")}`);
    if (done.has(name)) return;
    for (const next of importsOf(name)) walk(next, [...path, name]);
    done.add(name);
  };
  for (const name of files) walk(name, []);
});

test("no import runs upwards, so that nothing below the element knows it", () => {
  const row = (name: string): number => LAYERS.findIndex((layer) => layer.includes(folderOf(name)));
  const upwards = files.flatMap((name) =>
    importsOf(name)
      .filter((other) => folderOf(other) !== folderOf(name) && row(other) >= row(name))
      .map((other) => `${name} -> ${other}`),
  );
  expect(upwards).toEqual([]);
});

test("a kind of event is known to two modules, besides what shows it", () => {
  const wire = source.get("protocol/wire.ts") ?? "";
  const kinds = [...wire.slice(wire.indexOf("export type ItemUpdate"), wire.indexOf("SAID_ONCE")).matchAll(/\btype: "([^"]+)"/g)].map((match) => match[1] ?? "");
  expect(kinds).toEqual(expect.arrayContaining(["notice", "progress_update", "client_effect", "assistant_message.content_part.annotation_added", "widget.streaming_text.value_delta"]));
  // Threads, items and errors are what streams are about.
  for (const kind of kinds.filter((name) => !name.startsWith("thread.") && name !== "error")) {
    const knowing = files.filter((name) => folderOf(name) !== "views" && source.get(name)?.includes(`"${kind}"`));
    expect(knowing.length, `${kind}: ${knowing.join(", ")}`).toBeLessThanOrEqual(2);
  }
});

test("no module is long", () => {
  const long = files.filter((name) => (source.get(name) ?? "").split("\n").length - 1 > LINES);
  expect(long).toEqual([]);
});
