/** The state of a thread on the page, and what wire events make of it. Pure. */

import type { ClientToolCallItem, Item, Thread, ThreadEvent, UserMessageItem } from "../protocol/wire";
import { reduceItem, UnfitUpdate } from "./items";

export interface Notice {
  key: number;
  level: "info" | "warning" | "danger";
  message: string;
  title: string | null;
}

export interface Failure {
  /** The server's words; null where it gave none. */
  message: string | null;
  code: string;
  allowRetry: boolean;
  /** Whether it is over when the user has signed in. */
  isSignedOut?: boolean;
  /** When the server takes requests again, in milliseconds since 1970, where it says so. */
  retryAt?: number;
  /** What the server allows, where that is used up. */
  bound?: string;
  /** What an operator finds it by in the server's log. */
  requestId?: string;
}

export interface ThreadState {
  readonly thread: Thread | null;
  readonly items: readonly Item[];
  /** Ids of items that were begun and are not done. */
  readonly pending: ReadonlySet<string>;
  /** The bubble of a message that the server has not confirmed yet; it has an id of ours. */
  readonly optimisticId: string | null;
  /** Server id to the id under which the item was first drawn, so that it is not drawn anew. */
  readonly aliases: ReadonlyMap<string, string>;
  readonly progress: { text: string; icon: string | null } | null;
  readonly notices: readonly Notice[];
  readonly failure: Failure | null;
  readonly allowCancel: boolean;
}

export const EMPTY: ThreadState = {
  thread: null,
  items: [],
  pending: new Set(),
  optimisticId: null,
  aliases: new Map(),
  progress: null,
  notices: [],
  failure: null,
  allowCancel: true,
};

/** Returns the state after an event. Events of types that are not known change nothing. */
export function reduce(state: ThreadState, event: ThreadEvent): ThreadState {
  switch (event.type) {
    case "thread.created":
    case "thread.updated": {
      const { items: _, ...thread } = event.thread;
      return { ...state, thread };
    }
    case "thread.item.added":
      return begun(put(state, event.item), event.item.id);
    case "thread.item.done":
      return finished(put(renamed(state, event), event.item), event.item.id);
    case "thread.item.replaced":
      return put(renamed(state, event), event.item);
    case "thread.item.updated":
      return updated(state, event);
    case "thread.item.removed": {
      const items = state.items.filter((item) => item.id !== event.item_id);
      return finished({ ...state, items }, event.item_id);
    }
    case "stream_options":
      return { ...state, allowCancel: event.stream_options.allow_cancel };
    case "progress_update":
      return { ...state, progress: { text: event.text, icon: event.icon ?? null } };
    case "notice": {
      const key = (state.notices.at(-1)?.key ?? 0) + 1;
      const notice = { key, level: event.level, message: event.message, title: event.title ?? null };
      return { ...state, notices: [...state.notices, notice] };
    }
    case "error":
      return {
        ...state,
        progress: null,
        failure: { message: event.message ?? null, code: event.reason === "interrupted" ? "interrupted" : event.code, allowRetry: event.allow_retry ?? false },
      };
    default:
      return state;
  }
}

/** Returns whether a thread takes messages. */
export function isOpen(state: ThreadState): boolean {
  return (state.thread?.status?.type ?? "active") === "active";
}

/** Shows a message before the server has it. */
export function addOptimistic(state: ThreadState, item: UserMessageItem): ThreadState {
  return { ...state, items: [...state.items, item], optimisticId: item.id, failure: null, progress: null };
}

/** Takes away everything after an item, as the server does for a retry without telling. */
export function pruneAfter(state: ThreadState, itemId: string): ThreadState {
  const index = indexOf(state.items, itemId);
  if (index < 0) return state;
  return { ...state, items: state.items.slice(0, index + 1), pending: new Set(), failure: null, progress: null, notices: [] };
}

/** Puts an older page before what is there. Items that are there already stay as they are. */
export function prepend(state: ThreadState, older: readonly Item[]): ThreadState {
  const known = new Set(state.items.map((item) => item.id));
  const added = older.filter((item) => !known.has(item.id));
  return added.length === 0 ? state : { ...state, items: [...added, ...state.items] };
}

/** The state when no turn runs any more: nothing is pending, no progress is told. */
export function settled(state: ThreadState): ThreadState {
  const { active_turn: _, ...thread } = state.thread ?? {};
  return { ...state, thread: state.thread?.active_turn ? (thread as Thread) : state.thread, pending: new Set(), progress: null, allowCancel: true };
}

/** Returns whether an event shows that something is being worked on, and not only what came of it. */
export function isSignOfWork(event: ThreadEvent): boolean {
  return event.type === "thread.item.added" || event.type === "progress_update";
}

/** Keeps the ids of items that were begun, and that no later event has told to be known. */
export function noteUnconfirmed(ids: Set<string>, event: ThreadEvent): void {
  if (event.type === "thread.item.added") ids.add(event.item.id);
  else if (event.type === "thread.item.done" || event.type === "thread.item.replaced") {
    ids.delete(event.item.id);
    if (event.added_id !== undefined) ids.delete(event.added_id);
  } else if (event.type === "thread.item.removed") ids.delete(event.item_id);
}

/**
 * The state after the end of a turn that the page came back to: what was begun and neither done nor removed by then is
 * unknown to the server. A worker showed it in the moment before it died, and another one ended the turn. The workflow
 * stays that is open at a client tool call, the last one, for it continues when the output has been posted.
 */
export function without(state: ThreadState, ids: ReadonlySet<string>): ThreadState {
  if (ids.size === 0) return state;
  const open = pendingCall(state.items) && state.items.findLast((item) => item.type === "workflow" && ids.has(item.id));
  const goes = (id: string): boolean => ids.has(id) && id !== open?.id;
  const pending = new Set([...state.pending].filter((id) => !goes(id)));
  return { ...state, items: state.items.filter((item) => !goes(item.id)), pending };
}

/** Codes of failures that say nothing of the answer itself: it could not be followed from here. */
const CUT_OFF: readonly (string | undefined)[] = ["interrupted", "offline", "client_secret", "unauthorized"];

/** The state as the server has it; that a connection was lost is over where more has come through after all. */
export function caughtUp(before: ThreadState, fresh: ThreadState): ThreadState {
  const wasCutOff = CUT_OFF.includes(fresh.failure?.code);
  return wasCutOff && hasGrown(before, fresh) ? { ...fresh, failure: null } : fresh;
}

/** Whether a later state holds more of the conversation. */
export function hasGrown(before: ThreadState, after: ThreadState): boolean {
  return after.items.length > before.items.length || lengthOfAnswer(after.items) > lengthOfAnswer(before.items);
}

/** The last user message, which a retry of the latest answer begins with. */
export function lastUserMessage(items: readonly Item[]): UserMessageItem | null {
  return items.findLast((item) => item.type === "user_message") ?? null;
}

/** The tool call that the thread waits for; null where it waits for none. */
export function pendingCall(items: readonly Item[]): ClientToolCallItem | null {
  const last = items.findLast((item) => item.type !== "end_of_turn");
  return last?.type === "client_tool_call" && last.status === "pending" ? last : null;
}

/** How many characters the last answer has. */
function lengthOfAnswer(items: readonly Item[]): number {
  const last = items.findLast((item) => item.type === "assistant_message");
  return last?.type === "assistant_message" ? last.content.reduce((sum, part) => sum + part.text.length, 0) : 0;
}

function indexOf(items: readonly Item[], id: string): number {
  // What changes stands near the end of a thread, however long it is.
  for (let index = items.length - 1; index >= 0; index -= 1) if (items[index]?.id === id) return index;
  return -1;
}

function put(state: ThreadState, item: Item): ThreadState {
  const index = indexOf(state.items, item.id);
  if (index >= 0) return { ...state, items: state.items.with(index, item) };
  if (item.type === "user_message" && state.optimisticId !== null) {
    const bubble = indexOf(state.items, state.optimisticId);
    if (bubble >= 0) {
      const aliases = new Map(state.aliases).set(item.id, state.optimisticId);
      return { ...state, items: state.items.with(bubble, item), optimisticId: null, aliases };
    }
  }
  // An item that begins ends the line that told what was done before it.
  return { ...state, items: [...state.items, item], progress: item.type === "end_of_turn" ? state.progress : null };
}

/** The state with an item under the id that the server's store gave it, where it was added under another. */
function renamed(state: ThreadState, { item, added_id: before }: { item: Item; added_id?: string }): ThreadState {
  const index = before === undefined ? -1 : indexOf(state.items, before);
  if (before === undefined || index < 0) return state;
  const pending = new Set(state.pending);
  if (pending.delete(before)) pending.add(item.id);
  const aliases = new Map(state.aliases).set(item.id, state.aliases.get(before) ?? before);
  const items = state.items.filter((entry) => entry.id !== item.id).map((entry) => (entry.id === before ? item : entry));
  return { ...state, items, pending, aliases };
}

function updated(state: ThreadState, event: ThreadEvent & { type: "thread.item.updated" }): ThreadState {
  const index = indexOf(state.items, event.item_id);
  const item = state.items[index];
  if (!item) return state;
  try {
    const next = { ...state, items: state.items.with(index, reduceItem(item, event.update)) };
    return begun(next, item.id);
  } catch (error) {
    // A server of another make may send what does not fit; its final item still comes with "done".
    if (error instanceof UnfitUpdate) return state;
    throw error;
  }
}

function begun(state: ThreadState, id: string): ThreadState {
  if (state.pending.has(id)) return state;
  return { ...state, pending: new Set(state.pending).add(id) };
}

function finished(state: ThreadState, id: string): ThreadState {
  if (!state.pending.has(id)) return state;
  const pending = new Set(state.pending);
  pending.delete(id);
  return { ...state, pending };
}
