/** Answers that run without a stream on this page: after a reload, the thread that was loaded may have one. */

import type { Limits } from "../follow/connection";
import { follow, type Source } from "../follow/follow";
import { Position } from "../follow/position";
import { type ChatRequest, resume, type Route } from "./request";

const STORED = new Set(["thread.item.done", "thread.item.replaced", "thread.item.removed"]);

/** An answer on the server has something new: load the thread again. */
export interface Update {
  threadId: string;
  /** False the last time, when the answer is whole. */
  running: boolean;
}

interface Loaded {
  id?: string;
  active_turn?: { id?: string };
}

export class Updates {
  readonly #followed = new Set<string>();

  constructor(
    private readonly send: typeof fetch,
    private readonly limits: Limits,
    private readonly streaming: ReadonlySet<string>,
    private readonly tell: (update: Update) => void,
  ) {}

  /** Looks at an answer that passes: one to `threads.get_by_id` names the turn that runs. */
  look(request: ChatRequest, response: Response): void {
    if (request.body.type !== "threads.get_by_id" || !response.ok) return;
    const follow = ({ id, active_turn: turn }: Loaded): void => {
      if (id && turn?.id) void this.#follow(request, id, turn.id);
    };
    // An answer that cannot be read is the page's affair; this is an extra.
    response.clone().json().then(follow, () => undefined);
  }

  async #follow(route: Route, threadId: string, turnId: string): Promise<void> {
    if (this.streaming.has(turnId) || this.#followed.has(turnId)) return;
    this.#followed.add(turnId);
    const { signal } = new AbortController();
    const open = (cursor: string | null, within = signal): Promise<Response> => resume(this.send, route, threadId, cursor, within);
    const position = Position.before(threadId, turnId);
    const source: Source = { position, canRepeat: true, begin: () => open(position.cursor), resume: (_, cursor, within) => open(cursor, within) };
    try {
      for await (const part of follow(source, this.limits, signal)) {
        // Only what is finished is stored, and so found when the thread is loaded.
        if ("event" in part && part.event && STORED.has(part.event.type)) this.tell({ threadId, running: true });
      }
    } catch {
      // Nothing more is heard of the turn: the page loads what is stored.
    } finally {
      this.#followed.delete(turnId);
      this.tell({ threadId, running: false });
    }
  }
}
