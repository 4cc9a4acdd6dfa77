/** Checks what a page passes to `setOptions`, and fills in what it leaves out. */

import type { ChatKitOptions } from "@openai/chatkit";

const KNOWN: Record<string, readonly string[] | null> = {
  api: ["url", "fetch", "domainKey", "uploadStrategy", "getClientSecret"],
  locale: null,
  theme: ["colorScheme", "typography", "radius", "density", "color"],
  frameTitle: null,
  initialThread: null,
  onClientTool: null,
  header: ["enabled", "title", "leftAction", "rightAction"],
  history: ["enabled", "showDelete", "showRename"],
  startScreen: ["greeting", "prompts"],
  threadItemActions: ["feedback", "retry"],
  composer: ["placeholder", "attachments", "tools", "models", "dictation"],
  disclaimer: ["text", "highContrast"],
  entities: ["onTagSearch", "showComposerMenu", "onClick", "onRequestPreview"],
  commands: ["enabled", "onSearch", "onSelect"],
  widgets: ["onAction"],
  thread: ["autoScroll"],
};

/** Returns a message for each key that means nothing here. */
export function unknownKeys(options: object): string[] {
  const found: string[] = [];
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(KNOWN, key)) {
      found.push(key);
      continue;
    }
    const fields = KNOWN[key];
    if (!fields || typeof value !== "object" || value === null) continue;
    found.push(...Object.keys(value).filter((field) => !fields.includes(field)).map((field) => `${key}.${field}`));
  }
  return found;
}

/** Throws a TypeError that says what is wrong where options cannot work at all. */
export function checkOptions(options: unknown): asserts options is ChatKitOptions {
  if (typeof options !== "object" || options === null) throw new TypeError("setOptions needs an object of options.");
  const api = (options as { api?: unknown }).api;
  if (typeof api !== "object" || api === null) throw new TypeError("The option api is missing: api: { url: '/chatkit' }.");
  if ("getClientSecret" in api && !("url" in api)) {
    throw new TypeError("This element talks to a server of yours: give api.url in place of api.getClientSecret.");
  }
  if (typeof (api as { url?: unknown }).url !== "string") throw new TypeError("The option api.url must be the address of the server.");
}

export const DEFAULT_MAX_SIZE = 100 * 1024 * 1024;
export const DEFAULT_MAX_COUNT = 10;

type Attachments = NonNullable<NonNullable<ChatKitOptions["composer"]>["attachments"]>;

/** The most bytes that a file of a type may have. */
export function maxSizeOf(option: Attachments["maxSize"], mimeType: string): number {
  if (option === undefined) return DEFAULT_MAX_SIZE;
  if (typeof option === "number") return option;
  const kind = mimeType.toLowerCase();
  const family = `${kind.split("/")[0]}/*`;
  const entries = new Map(Object.entries(option).map(([pattern, size]) => [pattern.toLowerCase(), size]));
  return entries.get(kind) ?? entries.get(family) ?? entries.get("*/*") ?? entries.get("*") ?? entries.get("") ?? DEFAULT_MAX_SIZE;
}

/** Tells whether a file is of an accepted type, by its media type or its name's ending. */
export function isAccepted(accept: Attachments["accept"], file: { name: string; type: string }): boolean {
  if (!accept || Object.keys(accept).length === 0) return true;
  const kind = file.type.toLowerCase();
  const name = file.name.toLowerCase();
  return Object.entries(accept).some(([pattern, endings]) => {
    if (endings.some((ending) => name.endsWith(ending.toLowerCase()))) return true;
    const wanted = pattern.toLowerCase();
    if (wanted === "*/*" || wanted === "*") return endings.length === 0;
    const fits = wanted.endsWith("/*") ? kind.startsWith(wanted.slice(0, -1)) : kind === wanted;
    return fits && (endings.length === 0 || kind !== "");
  });
}

/** The value of a file input's `accept`. */
export function acceptAttribute(accept: Attachments["accept"]): string {
  return Object.entries(accept ?? {})
    .flatMap(([pattern, endings]) => [pattern, ...endings])
    .filter((part) => part !== "*" && part !== "*/*")
    .join(",");
}
