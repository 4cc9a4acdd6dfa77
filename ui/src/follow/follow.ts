/** Follows a turn to its end, over as many connections as it takes. */

import { asConnectionError, ClientSecretError, isUnauthorised, ServerError, StreamInterrupted } from "../protocol/errors";
import type { Frame } from "../protocol/sse";
import type { Thread, ThreadEvent, TurnStatus } from "../protocol/wire";
import { framesOf, isOffline, type Limits, openWithin, pause } from "./connection";
import type { Position } from "./position";

export interface Heard {
  /** Null for what is no event. */
  event: ThreadEvent | null;
  /** The event as it was sent. */
  data: string;
  /** Whether an id of its own covers it: what comes before such a one is sent anew after a broken connection. */
  isCovered: boolean;
}

export interface Ended {
  end: TurnStatus;
  /** There where the server is still making a title: reads on until it is told, null where it is not. To be called before the next part. */
  title?: () => Promise<Thread | null>;
}

export type Part = Heard | Ended | { reconnecting: boolean };

/** How the stream of a turn is asked for. Both reject with a ServerError where the server answers anything but a stream. */
export interface Source {
  readonly position: Position;
  /** Whether the server recognises the request that begins the turn when it is sent again. */
  readonly canRepeat: boolean;
  begin(): Promise<Response>;
  /** Asks for the events after the cursor, or, where it is null, for what the turn has come to. */
  resume(threadId: string, cursor: string | null, signal: AbortSignal): Promise<Response>;
}

/**
 * Yields each event of a turn once, its end, and when connections break and are back.
 *
 * Ends after `end`, or, with servers that do not number their events, when the stream closes. Throws the `ServerError` of a
 * server that refuses, `ConnectionError` where nothing ever arrived, `StreamInterrupted` where nothing more does. Where the page
 * is not let in any more, in the middle of an answer too, that error is thrown as it is: 401, 403, or a `ClientSecretError`.
 *
 * @param first The answer to the request that begins the turn, where that has been sent.
 */
export async function* follow(source: Source, limits: Limits, signal: AbortSignal, first?: Response): AsyncGenerator<Part> {
  const { position } = source;
  let response = first ?? null;
  let isAnswered = response !== null;
  let isHeard = false;
  let isBroken = false;
  let failures = 0;
  let offlineSince: number | null = null;
  while (true) {
    let failure: unknown = null;
    let frames: AsyncGenerator<Frame> | null = null;
    try {
      const { threadId, cursor } = position;
      if (position.isNumbered && threadId !== null) response ??= await openWithin(limits.silence, signal, (within) => source.resume(threadId, cursor, within));
      response ??= await source.begin();
      isAnswered = true;
      position.reconnected();
      if (isBroken) yield { reconnecting: false };
      isBroken = false;
      const read = framesOf(response, signal, () => (position.isNumbered ? limits.silence : null));
      frames = read;
      for await (const frame of { [Symbol.asyncIterator]: () => ({ next: () => read.next() }) }) {
        isHeard = true;
        const arrival = position.take(frame.id);
        if (arrival === "new") {
          failures = 0;
          offlineSince = null;
        }
        const event = parse(frame.data);
        if (frame.event === "turn.end") {
          const { status: end = "completed", awaits_title: awaitsTitle } = (event ?? {}) as { status?: TurnStatus; awaits_title?: boolean };
          const title = (): Promise<Thread | null> => {
            frames = null;
            return titleIn(read);
          };
          yield awaitsTitle ? { end, title } : { end };
          return;
        }
        if (arrival === "known") continue;
        if (event?.type === "thread.created" || event?.type === "thread.updated") position.threadId = event.thread?.id ?? position.threadId;
        yield { event, data: frame.data, isCovered: arrival === "new" };
      }
      if (!position.isNumbered) return;
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof ServerError || error instanceof ClientSecretError) {
        const isRefusal = !isAnswered && !isBroken && !position.isNumbered;
        const isItself = !isBroken || isUnauthorised(error) || (error instanceof ServerError && error.code === "turn_not_found");
        if (isRefusal || !error.isTemporary) throw isItself ? error : new StreamInterrupted(error.message, { cause: error });
      }
      failure = error;
    } finally {
      // Unless they are read on for a title.
      void frames?.return(undefined);
    }
    response = null;
    const canContinue = position.isNumbered === null ? source.canRepeat : position.isNumbered && position.threadId !== null;
    offlineSince = isAnswered && isOffline() ? (offlineSince ?? Date.now()) : null;
    const isTooLong = offlineSince !== null && Date.now() - offlineSince >= limits.offlineLimit;
    if (!canContinue || isTooLong || failures >= limits.attempts) {
      if (isUnauthorised(failure)) throw failure;
      if (!isHeard && failure !== null) throw failure instanceof ServerError ? failure : asConnectionError(failure);
      throw new StreamInterrupted("The answer broke off before its end.", { cause: failure });
    }
    isBroken = true;
    yield { reconnecting: true };
    await pause(failures, limits, signal, offlineSince !== null, failure instanceof ServerError ? failure.retryAt : null);
    if (offlineSince === null) failures += 1;
  }
}

/** Returns the thread once it is told that it has a title; null where that cannot be heard. */
async function titleIn(frames: AsyncGenerator<Frame>): Promise<Thread | null> {
  try {
    for await (const { data } of frames) {
      const event = parse(data);
      if (event?.type === "thread.updated" && event.thread?.title) return event.thread;
    }
  } catch {
    // The next load of the list has it.
  }
  return null;
}

function parse(data: string): ThreadEvent | null {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && !Array.isArray(value) ? (value as ThreadEvent | null) : null;
  } catch {
    return null;
  }
}
