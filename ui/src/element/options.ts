/** Checks what a page passes to `setOptions`, and fills in what it leaves out. */

import type { ChatKitOptions } from "@openai/chatkit";
import type { ApiOption } from "../client/endpoint";

const KNOWN: Record<string, readonly string[] | null> = {
  api: ["url", "fetch", "domainKey", "uploadStrategy", "getClientSecret", "signInUrl"],
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

function isNothing(value: unknown): boolean {
  return value === undefined || value === null;
}

/** Throws a TypeError that says what is wrong where options cannot work at all. */
export function checkOptions(options: unknown): asserts options is ChatKitOptions {
  if (typeof options !== "object" || options === null) throw new TypeError("setOptions needs an object of options.");
  const api = (options as { api?: unknown }).api;
  if (typeof api !== "object" || api === null) throw new TypeError("The option api is missing: api: { url: '/chatkit' }, or api: { getClientSecret }.");
  const { url, getClientSecret, signInUrl } = api as { [Field in keyof ApiOption]: unknown };
  if (!isNothing(getClientSecret) && typeof getClientSecret !== "function") throw new TypeError("The option api.getClientSecret must be a function.");
  if (!isNothing(signInUrl) && typeof signInUrl !== "string") throw new TypeError("The option api.signInUrl must be the address where users sign in.");
  if (isNothing(url) ? isNothing(getClientSecret) : typeof url !== "string") throw new TypeError("The option api.url must be the address of the server.");
}

/** Returns options in which null, with which pages say that there is nothing, is left out; at any depth of plain objects. */
export function withoutNulls<T>(options: T): T {
  if (typeof options !== "object" || options === null || Object.getPrototypeOf(options) !== Object.prototype) return options;
  const kept = Object.entries(options).filter(([, value]) => value !== null);
  return Object.fromEntries(kept.map(([key, value]) => [key, withoutNulls(value)])) as T;
}
