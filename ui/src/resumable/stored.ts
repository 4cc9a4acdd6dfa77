/** What the store has of a turn whose events are gone. */

import { post, type Route } from "./request";
import { type Translation, write } from "./translation";

const PAGE = 50;

interface Item {
  id: string;
  type: string;
}

/**
 * Returns frames that bring a page's items to what is stored: items that were unfinished, and those that came after.
 *
 * `isFinished` says whether every item that the page saw begin has an end in the store.
 */
export async function lostItems(
  send: typeof fetch,
  route: Route,
  threadId: string | null,
  { items }: Translation,
  signal: AbortSignal,
): Promise<{ frames: string; isFinished: boolean }> {
  let newest: Item[] = [];
  try {
    const params = { thread_id: threadId, limit: PAGE, order: "desc" };
    const response = await post(send, route, { type: "items.list", params }, { signal });
    newest = response.ok ? ((await response.json()) as { data: Item[] }).data : [];
  } catch {
    // The server is as good as gone; the caller says so.
  }
  const stored = newest.reverse();
  // Of a thread that was not seen to begin, nothing says which of the items are this turn's but those that are known.
  const first = stored.findIndex((item) => items.has(item.id));
  const frames: string[] = [];
  let answered = false;
  for (const item of first < 0 ? [] : stored.slice(first)) {
    if (item.type === "user_message" && !items.has(item.id)) break;
    if (item.type !== "user_message") answered = true;
    if (items.get(item.id) === "done") continue;
    items.set(item.id, "done");
    frames.push(write(JSON.stringify({ type: "thread.item.done", item })));
  }
  const isFinished = answered && [...items.values()].every((state) => state === "done");
  return { frames: frames.join(""), isFinished };
}
