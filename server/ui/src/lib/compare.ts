// Comparison with another container, aligned as if both had started at the same time.
//
// Slots are compared with slots, so the shift between the two containers is
// rounded to whole slots. Half a slot is too small to see in a chart.

import type { ContainerItem, RangeInfo, Summary } from "./api/types";
import { networkValues } from "./measured";
import { perSecond } from "./slots";
import type { Series } from "./units";

/** The server answers with at most this many slots. */
const MAX_SLOTS = 2000;
/** Age in seconds from which all data is expected to have arrived. */
const ARRIVAL_DELAY = 10;
/** Interval in seconds at which recent data is fetched again. */
const REFRESH_INTERVAL = 5;

type Start = Pick<ContainerItem, "started" | "first_seen">;

/** Seconds from the start of `own` to the start of `other`. Negative if `other` started first. */
export function startOffset(own: Start, other: Start): number {
  return (other.started ?? other.first_seen) - (own.started ?? own.first_seen);
}

/** Converts a start offset to the seconds, in whole slots, that lead from this container's time to the other's. */
export function slotShift(later: number, step: number): number {
  // `+ 0` turns -0 into 0.
  return Math.round(later / step) * step + 0;
}

/** A query about the other container, in its own time. */
export interface OtherQuery {
  from: number;
  to: number;
  step: number;
  /** When the query was sent. */
  at: number;
  /** Whether the page was live then. */
  live: boolean;
  /** The answer is final up to this time. */
  final: number;
}

/**
 * The query about the other container for `range` of this one. Null if the other cannot have run then.
 * On a live page the query looks ahead by the length of the range, so that one answer lasts that long.
 */
export function planQuery(range: RangeInfo, shift: number, live: boolean, now: number): OtherQuery | null {
  const ahead = live ? Math.max(0, Math.min(range.slots, MAX_SLOTS - range.slots)) : 0;
  const from = Math.max(0, range.from + shift);
  const to = range.to + shift + ahead * range.step;
  if (to <= from || from >= now) return null;
  return { from, to, step: range.step, at: now, live, final: now - ARRIVAL_DELAY };
}

/** Whether `held` no longer answers `range`. The past is fetched once, recent data again and again while the page is live. */
export function isOutdated(held: OtherQuery | null, range: RangeInfo, shift: number, live: boolean, now: number): boolean {
  if (held === null || held.step !== range.step || Math.max(0, range.from + shift) < held.from) return true;
  const to = range.to + shift;
  if (to <= Math.min(held.to, held.final)) return false;
  return live ? now - held.at >= REFRESH_INTERVAL : held.live || to > held.to;
}

/** The other container's series, in the slots of this container's range. */
export interface OtherSeries {
  cpu: Series;
  memory: Series;
  read: Series;
  written: Series;
  received: Series;
  sent: Series;
  tasks: Series;
}

/** Maps `values` from the slots of `from` to those of `onto`. A slot outside `from` is unknown. */
export function align(values: Series, from: RangeInfo, onto: RangeInfo, shift: number): (number | null)[] {
  return Array.from({ length: onto.slots }, (_, i) => {
    const middle = onto.from + (i + 0.5) * onto.step + shift;
    return values[Math.floor((middle - from.from) / from.step)] ?? null;
  });
}

/** How much of each slot of `onto` the other container was observed. */
export const alignedCovered = (summary: Summary, onto: RangeInfo, shift: number): number[] => align(summary.covered, summary.range, onto, shift).map((part) => part ?? 0);

export function alignedSeries(summary: Summary, onto: RangeInfo, shift: number): OtherSeries {
  const { range, covered, cpu, memory, files, network, tasks, accounting } = summary;
  const shifted = (values: Series): Series => align(values, range, onto, shift);
  const rate = (values: Series): Series => shifted(perSecond(values, range, covered));
  return {
    cpu: shifted(cpu.total),
    memory: shifted(memory.current),
    read: rate(files.in),
    written: rate(files.out),
    received: networkValues(accounting.hooks, rate(network.in)),
    sent: networkValues(accounting.hooks, rate(network.out)),
    tasks: shifted(tasks),
  };
}
