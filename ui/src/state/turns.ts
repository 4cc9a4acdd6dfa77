/** Groups items into turns for the view: what the user said and what was answered. */

import type { Item, UserMessageItem } from "../protocol/wire";

export interface TurnGroup {
  key: string;
  user: UserMessageItem | null;
  answer: readonly Item[];
}

/**
 * Groups items; a group whose items have not changed stays the same object, so that views skip it.
 *
 * One instance belongs to one view.
 */
export class TurnGrouping {
  #last = new Map<string, TurnGroup>();

  group(items: readonly Item[], aliases: ReadonlyMap<string, string>): TurnGroup[] {
    const groups: { key: string; user: UserMessageItem | null; answer: Item[] }[] = [];
    let open: (typeof groups)[number] | null = null;
    for (const item of items) {
      if (item.type === "user_message") {
        open = { key: aliases.get(item.id) ?? item.id, user: item, answer: [] };
        groups.push(open);
      } else if (open) {
        open.answer.push(item);
      } else {
        // The page of items begins in mid-turn, or the thread with an answer.
        open = { key: `from ${item.id}`, user: null, answer: [item] };
        groups.push(open);
      }
    }
    const kept = groups.map((group) => {
      const before = this.#last.get(group.key);
      return before && before.user === group.user && isSame(before.answer, group.answer) ? before : group;
    });
    this.#last = new Map(kept.map((group) => [group.key, group]));
    return kept;
  }
}

function isSame(a: readonly Item[], b: readonly Item[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
