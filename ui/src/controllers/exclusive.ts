/** Work that one tab at a time does. */

type Work = (
  /** Whether another tab did it meanwhile, so that it may be done already. */
  hasWaited: boolean,
  /** Lets other tabs begin before the work has ended. */
  release: () => void,
) => Promise<void>;

/**
 * Does something while no other tab of this origin does what has the same name.
 *
 * Pages without a secure context have no locks; there it is just done. Rejects with an `AbortError` where the signal
 * comes while it waits.
 */
export async function exclusively(name: string, signal: AbortSignal, work: Work): Promise<void> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return work(false, () => undefined);
  const begun: { outcome: Promise<void> | null } = { outcome: null };
  const hold = (hasWaited: boolean): Promise<void> =>
    new Promise((release) => {
      begun.outcome = work(hasWaited, release);
      begun.outcome.then(release, release);
    });
  await locks.request(name, { ifAvailable: true }, (lock) => (lock ? hold(false) : undefined));
  if (begun.outcome === null) await locks.request(name, { signal }, () => hold(true));
  await begun.outcome;
}
