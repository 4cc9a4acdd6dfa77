/** Work that can wait, in pieces: each task of the page does a few of them and then lets others go first. */

/** Milliseconds that one task works. */
const BUDGET = 10;

const waiting: (() => void | Promise<void>)[] = [];
let isRunning = false;

async function run(): Promise<void> {
  let begun = performance.now();
  for (let work = waiting.shift(); work; work = waiting.shift()) {
    try {
      await work();
    } catch {
      // What one piece of work cannot do, such as colours, stays undone; the next ones are done.
    }
    if (waiting.length > 0 && performance.now() - begun > BUDGET) {
      await pause();
      begun = performance.now();
    }
  }
  isRunning = false;
}

/** Resolves in a task of its own; not by a timer, which pages that nobody looks at have once a second only. */
export function pause(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/** Does something later, after all that was queued before. */
export function later(work: () => void | Promise<void>): void {
  waiting.push(work);
  if (isRunning) return;
  isRunning = true;
  setTimeout(() => void run(), 0);
}
