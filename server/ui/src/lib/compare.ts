// Another container beside this one, as though both had started at the same time.
//
// Slots are compared with slots, so the way from one container's time to the
// other's is rounded to whole slots: half of one is less than a chart can show.

import type { ContainerItem, RangeInfo, Summary } from "./api/types";
import { perSecond } from "./slots";
import type { Series } from "./units";

/** At most so many slots are in an answer. */
const SLOTS = 2000;
/** What is older than this, in seconds, has arrived. */
const LATE = 10;
/** How often what is under way is asked for again, in seconds. */
const EVERY = 5;

type Began = Pick<ContainerItem, "started" | "first_seen">;

/** How much later than `own` `other` started, in seconds; negative when it started earlier. */
export function laterBy(own: Began, other: Began): number {
  return (other.started ?? other.first_seen) - (own.started ?? own.first_seen);
}

/** What to add to a time of this container to get to the other's, in whole slots. */
export function shiftOf(later: number, step: number): number {
  // Without the addition a small negative one would be -0.
  return Math.round(later / step) * step + 0;
}

/** What was asked of the other, by its own time. */
export interface Asked {
  from: number;
  to: number;
  step: number;
  /** When it was asked, and whether by a live page. */
  at: number;
  live: boolean;
  /** Up to here the answer stays as it is. */
  final: number;
}

/**
 * What to ask of the other for `range` of this one; null when it cannot have lived then. What it did
 * later is asked for ahead when the page is live, so that one answer lasts as long as the range is.
 */
export function question(range: RangeInfo, shift: number, live: boolean, now: number): Asked | null {
  const ahead = live ? Math.max(0, Math.min(range.slots, SLOTS - range.slots)) : 0;
  const from = Math.max(0, range.from + shift);
  const to = range.to + shift + ahead * range.step;
  if (to <= from || from >= now) return null;
  return { from, to, step: range.step, at: now, live, final: now - LATE };
}

/** Whether `held` does not do for `range`: what is past is asked for once, what is under way again and again while the page is live. */
export function outdated(held: Asked | null, range: RangeInfo, shift: number, live: boolean, now: number): boolean {
  if (held === null || held.step !== range.step || Math.max(0, range.from + shift) < held.from) return true;
  const to = range.to + shift;
  if (to <= Math.min(held.to, held.final)) return false;
  return live ? now - held.at >= EVERY : held.live || to > held.to;
}

/** The other's series, in the slots of this container's range. */
export interface Others {
  cpu: Series;
  memory: Series;
  read: Series;
  written: Series;
  received: Series;
  sent: Series;
  tasks: Series;
}

/** `values`, which has the slots of `from`, in the slots of `onto`: what no slot of `from` holds is not known. */
export function align(values: Series, from: RangeInfo, onto: RangeInfo, shift: number): (number | null)[] {
  return Array.from({ length: onto.slots }, (_, i) => {
    const middle = onto.from + (i + 0.5) * onto.step + shift;
    return values[Math.floor((middle - from.from) / from.step)] ?? null;
  });
}

export function others(summary: Summary, onto: RangeInfo, shift: number): Others {
  const { range, covered, cpu, memory, files, network, tasks } = summary;
  const put = (values: Series): Series => align(values, range, onto, shift);
  const rate = (values: Series): Series => put(perSecond(values, range, covered));
  return {
    cpu: put(cpu.total),
    memory: put(memory.current),
    read: rate(files.in),
    written: rate(files.out),
    received: rate(network.in),
    sent: rate(network.out),
    tasks: put(tasks),
  };
}
