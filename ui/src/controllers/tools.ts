/** Tools of the page: running them, and remembering which the user has stopped. */

import type { ClientToolCallItem } from "../protocol/wire";

const STOPPED = "chatkit.stopped-tools";
const KEPT = 20;

/** What the assistant is told of a tool that failed: it can say something sensible about it; a thread that waits for ever cannot. */
export function errorResult(message: string): { value: unknown } {
  return { value: { error: message } };
}

/** Returns what the page answers to a tool call, an error among that; null where the signal comes first. */
export async function resultOf(answer: Promise<unknown>, signal: AbortSignal, onError: (error: Error) => void): Promise<{ value: unknown } | null> {
  const stopped = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
  const answered = answer.then(
    (value) => ({ value: sendable(value ?? {}) }),
  ).catch((error: unknown) => {
    const told = error instanceof Error ? error : new Error(String(error));
    onError(told);
    return errorResult(told.message);
  });
  return Promise.race([answered, stopped]);
}

/** Returns what of a value goes over the wire; throws for one that JSON has no text for, such as one that holds itself. */
function sendable(value: unknown): unknown {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new Error(`The page's tool returned something that cannot be sent as JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  // Of a function or a symbol nothing is left.
  return text === undefined ? {} : JSON.parse(text);
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

/** Forgets which calls were stopped. */
export function forgetStops(): void {
  try {
    sessionStorage.removeItem(STOPPED);
  } catch {
    // Where storage is forbidden, nothing is remembered.
  }
}

function stoppedCalls(): string[] {
  try {
    return (sessionStorage.getItem(STOPPED) ?? "").split(" ").filter(Boolean);
  } catch {
    return [];
  }
}
