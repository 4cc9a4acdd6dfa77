/** The answer that the page reads: an ordinary `Response` around a turn. */

import { unlessAborted } from "../protocol/aborting";
import type { Departure } from "./departure";
import type { Turn } from "./turn";

/** Sends the request of a turn and returns its answer; when the page gives up reading, and stays, the turn is stopped. */
export async function answerOf(turn: Turn, signal: AbortSignal | undefined, departure: Departure): Promise<Response> {
  let isLeft = false;
  const leave = async (): Promise<void> => {
    if (isLeft) return;
    isLeft = true;
    if (await departure.stays()) await turn.stop();
    else turn.detach();
  };
  if (signal?.aborted) throw signal.reason;
  const opening = turn.open();
  const response = await unlessAborted(opening, signal, () => {
    // The request may be on its way: what comes of it is stopped as soon as it is known.
    void opening.then(leave, () => undefined);
  });
  if (!turn.isStream) return response;
  const encoder = new TextEncoder();
  let abort: (() => void) | undefined;
  const done = (): void => {
    if (abort) signal?.removeEventListener("abort", abort);
  };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      abort = () => {
        done();
        controller.error(signal?.reason);
        void leave();
      };
      signal?.addEventListener("abort", abort);
    },
    async pull(controller) {
      try {
        const text = await turn.next();
        if (isLeft) return;
        if (text !== null) {
          controller.enqueue(encoder.encode(text));
          return;
        }
        done();
        controller.close();
      } catch (error) {
        if (isLeft) return;
        done();
        controller.error(error);
      }
    },
    cancel() {
      done();
      void leave();
    },
  });
  const { status, statusText, headers, url } = response;
  const answer = new Response(body, { status, statusText, headers });
  // One that is made by hand has none.
  Object.defineProperty(answer, "url", { value: url });
  return answer;
}
