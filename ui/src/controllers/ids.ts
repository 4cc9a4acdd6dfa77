/** Ids for what only this page knows. */

let count = 0;

export function localId(prefix: string): string {
  count += 1;
  return `${prefix}_local_${count}`;
}

/** A key by which the server recognises a message that is sent again. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
