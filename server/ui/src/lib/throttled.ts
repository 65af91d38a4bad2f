// How much its CPU limit held a container back.
//
// The kernel adds up throttled time over the cores, so four threads on four cores can have 4 s of it in
// a second. Compared with the CPU time that the container used, it is a share for any number of threads.

import type { Summary } from "./api/types";
import type { Series } from "./units";

/** Throttled time in percent of the CPU time that would have been used without the limit: used and throttled. */
const shareOf = (throttled: number, used: number): number => (throttled <= 0 ? 0 : (100 * throttled) / (throttled + used));

/** CPU time that the cgroup used, by slot; that of the processes where the cgroup's own is unknown. */
const usedOf = ({ user, system, total }: Summary["cpu"]): Series =>
  total.map((known, slot) => {
    const [inUser, inSystem] = [user[slot] ?? null, system[slot] ?? null];
    return inUser === null || inSystem === null ? known : inUser + inSystem;
  });

/** The share of each slot, 0 to 100; null where throttled or used time is unknown. */
export function heldBack(cpu: Summary["cpu"]): (number | null)[] {
  const used = usedOf(cpu);
  return cpu.throttled.map((throttled, slot) => {
    const known = used[slot] ?? null;
    return throttled === null || known === null ? null : shareOf(throttled, known);
  });
}

/** The share of several slots together. `average` gives the mean of a series over them. */
export function heldBackOf(cpu: Summary["cpu"], average: (values: Series) => number | null): number | null {
  // Time is compared where both are known.
  const of = usedOf(cpu);
  const used = average(of.map((value, slot) => (cpu.throttled[slot] == null ? null : value)));
  const throttled = average(cpu.throttled.map((value, slot) => (of[slot] == null ? null : value)));
  return throttled === null || used === null ? null : shareOf(throttled, used);
}
