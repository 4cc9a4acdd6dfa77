/** Keys by which the server recognises a request that is sent again. */

export function idempotencyKey(): string {
  // Not randomUUID: pages that are not served over HTTPS do not have it.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
