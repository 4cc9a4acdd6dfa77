/** Tools of the page: running them, and remembering which the user has stopped. */

import type { ClientToolCallItem } from "../protocol/wire";

const STOPPED = "chatkit.stopped-tools";
const KEPT = 20;

/** Returns what the page answers to a tool call, an error among that; null where the signal comes first. */
export async function resultOf(answer: Promise<unknown>, signal: AbortSignal, onError: (error: Error) => void): Promise<{ value: unknown } | null> {
  const stopped = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
  const answered = answer.then(
    (value) => ({ value: value ?? {} }),
    (error: unknown) => {
      const told = error instanceof Error ? error : new Error(String(error));
      onError(told);
      // The assistant can say something sensible about it; a thread that waits for ever cannot.
      return { value: { error: told.message } };
    },
  );
  return Promise.race([answered, stopped]);
}

/** A tool call that the user stopped waits on the server until the next message; a reload must not begin it again. */
export function rememberStop(call: ClientToolCallItem): void {
  try {
    sessionStorage.setItem(STOPPED, [...stoppedCalls().slice(-KEPT), call.id].join(" "));
  } catch {
    // Storage may be forbidden: the tool then runs again after a reload.
  }
}

export function wasStopped(call: ClientToolCallItem): boolean {
  return stoppedCalls().includes(call.id);
}

function stoppedCalls(): string[] {
  try {
    return (sessionStorage.getItem(STOPPED) ?? "").split(" ").filter(Boolean);
  } catch {
    return [];
  }
}
