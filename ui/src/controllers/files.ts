/** Which files a page takes: their types and sizes. */

import type { ChatKitOptions } from "@openai/chatkit";

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

/** Returns whether a file is of an accepted type, by its media type or its name's ending. */
export function isAccepted(accept: Attachments["accept"], file: { name: string; type: string }): boolean {
  if (!accept || Object.keys(accept).length === 0) return true;
  const name = file.name.toLowerCase();
  return Object.entries(accept).some(([pattern, endings]) => hasEnding(name, endings) || fits(pattern, endings, file.type));
}

/**
 * Returns the media type to upload a file as: its own where that is accepted, else the one that `accept` gives for the
 * ending of its name. Browsers know no type for many endings, and Windows calls a `.csv` an Excel sheet.
 */
export function mediaTypeOf(accept: Attachments["accept"], file: { name: string; type: string }): string {
  const entries = Object.entries(accept ?? {});
  if (file.type && entries.some(([pattern, endings]) => fits(pattern, endings, file.type))) return file.type;
  const name = file.name.toLowerCase();
  const given = entries.find(([pattern, endings]) => !pattern.includes("*") && pattern.includes("/") && hasEnding(name, endings));
  return given?.[0].toLowerCase() ?? file.type;
}

function hasEnding(name: string, endings: readonly string[]): boolean {
  return endings.some((ending) => name.endsWith(ending.toLowerCase()));
}

function fits(pattern: string, endings: readonly string[], type: string): boolean {
  const kind = type.toLowerCase();
  const wanted = pattern.toLowerCase();
  if (wanted === "*/*" || wanted === "*") return endings.length === 0;
  const same = wanted.endsWith("/*") ? kind.startsWith(wanted.slice(0, -1)) : kind === wanted;
  return same && (endings.length === 0 || kind !== "");
}

/** The value of a file input's `accept`. */
export function acceptAttribute(accept: Attachments["accept"]): string {
  return Object.entries(accept ?? {})
    .flatMap(([pattern, endings]) => [pattern, ...endings])
    .filter((part) => part !== "*" && part !== "*/*")
    .join(",");
}
