/** Ids for what only this page knows. */

let count = 0;

export function localId(prefix: string): string {
  count += 1;
  return `${prefix}_local_${count}`;
}
