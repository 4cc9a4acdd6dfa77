/** Milliseconds of the processor's time that something takes: a clock would count what else the machine does. */

export function spent(work: () => void): number {
  const begun = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(begun);
  return (user + system) / 1000;
}
