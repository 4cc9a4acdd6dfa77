/** Answers that run without a stream on this page: after a reload, the thread that was loaded may have one. */

import { framesOf, type Limits, pause, Refused, resume } from "./connection";
import type { ChatRequest, Route } from "./request";
import { AnotherTurn, Translation } from "./translation";

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

  /** Looks at an answer that passes: one to `threads.get_by_id` tells whether a turn runs. */
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
    const translation = new Translation(threadId);
    translation.startAt(turnId);
    try {
      for (let failures = 0; failures < this.limits.attempts && translation.end === null; failures += 1) {
        try {
          const response = await resume(this.send, route, threadId, translation.cursor, signal);
          for await (const frames of framesOf(response, signal, () => this.limits.silence)) {
            const before = translation.cursor;
            const texts = frames.map((frame) => translation.take(frame));
            if (translation.end !== null) break;
            if (translation.cursor !== before) failures = 0;
            // Only what is finished is stored, and so found when the thread is loaded.
            if (texts.some((text) => /^data: \{"type":"thread\.item\.(done|replaced|removed)"/.test(text))) this.tell({ threadId, running: true });
          }
        } catch (error) {
          if (error instanceof Refused || error instanceof AnotherTurn) break;
        }
        if (translation.end === null) await pause(failures, this.limits, signal);
      }
    } finally {
      this.tell({ threadId, running: false });
      this.#followed.delete(turnId);
    }
  }
}
