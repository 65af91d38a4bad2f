// Where rows and times are on the canvas of the lanes, and what is at a point of it.

import type { RangeInfo } from "../api/types";
import type { LaneRow, Strip } from "./rows";
import type { LaneSet } from "./set";

/** Heights in CSS pixels. */
export const ROW = 18;
/** Of a row that stands for several: the sum of their use needs more room. */
export const GROUP_ROW = 40;
export const AXIS = 20;
export const EVENTS = 22;
/** Height of what stays in place above the rows. */
export const HEAD = AXIS + EVENTS;
/** Of the view: a small container needs less, a large one scrolls. */
export const MAX_HEIGHT = 380;
export const MIN_HEIGHT = HEAD + 4 * ROW;
/** Siblings with the same name that share one row, at least. */
export const MIN_FOLD = 4;

export interface Layout {
  /** Size of the canvas in CSS pixels. */
  width: number;
  height: number;
  /** Width of the names. */
  left: number;
  /** Space at the right of the plot. */
  right: number;
  /** How far the rows are scrolled. */
  scroll: number;
  /** The part of time that is shown. */
  shown: readonly [number, number];
}

export function xOf(layout: Layout, at: number): number {
  const [from, to] = layout.shown;
  return layout.left + ((at - from) / Math.max(1e-9, to - from)) * plotWidth(layout);
}

/** The time at `x`. Null outside the plot. */
export function timeAt(layout: Layout, x: number): number | null {
  if (x < layout.left || x > layout.width - layout.right) return null;
  const [from, to] = layout.shown;
  return from + ((x - layout.left) / plotWidth(layout)) * (to - from);
}

export const plotWidth = (layout: Layout): number => Math.max(1, layout.width - layout.left - layout.right);

/** Tops of all rows, relative to the first one, and the bottom of the last. */
export function rowTops(rows: readonly LaneRow[]): number[] {
  const tops = [0];
  for (const row of rows) tops.push((tops.at(-1) ?? 0) + (row.isGroup && !row.isOpen ? GROUP_ROW : ROW));
  return tops;
}

/** The index of the last top that is at most `y`. */
function lastAtMost(tops: readonly number[], y: number): number {
  let [low, high] = [0, tops.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((tops[middle] ?? 0) <= y) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Indices of the rows that are visible: from the first to before the last. */
export function visibleRows(layout: Layout, tops: readonly number[]): [number, number] {
  const bottom = layout.scroll + layout.height - HEAD;
  return [Math.max(0, lastAtMost(tops, layout.scroll)), Math.min(tops.length - 1, lastAtMost(tops, bottom) + 1)];
}

/** The index of the row at `y`. Null above the rows and below the last one. */
export function rowAt(layout: Layout, y: number, tops: readonly number[]): number | null {
  if (y < HEAD) return null;
  const row = lastAtMost(tops, y - HEAD + layout.scroll);
  return row >= 0 && row < tops.length - 1 ? row : null;
}

/** How far to scroll so that `row` is visible. */
export function scrollTo(layout: Layout, row: number, tops: readonly number[]): number {
  const [top, bottom] = [tops[row] ?? 0, tops[row + 1] ?? 0];
  return Math.max(0, Math.max(Math.min(layout.scroll, top), bottom - (layout.height - HEAD)));
}

/** Start and end of a slot. */
export function slotSpan(range: RangeInfo, slot: number): [number, number] {
  const start = range.from + slot * range.step;
  return [start, Math.min(range.to, start + range.step)];
}

export interface Share {
  core: number;
  /** Percent of one core, over the time that the row lived in the slot. */
  percent: number;
}

/** What a row used in a slot, by core. Null in a gap: nothing is known. */
export function sharesIn(set: LaneSet, row: LaneRow, strip: Strip, slot: number): Share[] | null {
  if ((set.covered[slot] ?? 0) <= 0) return null;
  const seconds = livedSeconds(set, row, slot);
  const shares: Share[] = [];
  for (let cell = firstCell(strip, slot); cell < strip.last && strip.slot[cell] === slot; cell++) {
    shares.push({ core: strip.core[cell] ?? 0, percent: (strip.us[cell] ?? 0) / 1e4 / seconds });
  }
  return shares;
}

/** Shortest time, as part of a slot, that a share is made of: a process that lived for less is shown too low rather than too high. */
const MIN_LIVED = 1e-4;

/** Known seconds that a row lived in a slot. A row of several processes counts the whole slot. */
export function livedSeconds(set: LaneSet, row: LaneRow, slot: number): number {
  const [from, to] = slotSpan(set.range, slot);
  const known = Math.min(1, set.covered[slot] ?? 0);
  const isOne = !row.isGroup && row.count === 1 && row.below === 0;
  const start = isOne && row.start !== null ? Math.max(from, row.start) : from;
  const end = isOne && row.end !== null ? Math.min(to, row.end) : to;
  // Which part of the slot is unknown is not known either: of a process that did not live in all of it, none.
  const whole = start <= from && end >= to;
  return Math.max(MIN_LIVED * set.range.step, whole ? (to - from) * known : Math.min(end - start, (to - from) * known));
}

/** Index of the first cell of `slot` or a later one. */
export function firstCell(strip: Strip, slot: number): number {
  let [low, high] = [strip.first, strip.last];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((strip.slot[middle] ?? 0) < slot) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Highest use of a row in a slot, in percent of one core, at least 100: the full height of its bar. */
export function fullHeight(set: LaneSet, row: LaneRow, strip: Strip): number {
  let highest = 100;
  let cell = strip.first;
  while (cell < strip.last) {
    const slot = strip.slot[cell] ?? 0;
    let us = 0;
    for (; cell < strip.last && strip.slot[cell] === slot; cell++) us += strip.us[cell] ?? 0;
    highest = Math.max(highest, us / 1e4 / livedSeconds(set, row, slot));
  }
  return highest;
}

const SECOND_STEPS = [1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Round times, at least `space` pixels apart. */
export function ticks(layout: Layout, space = 90): number[] {
  const [from, to] = layout.shown;
  const least = ((to - from) / plotWidth(layout)) * space;
  const step = SECOND_STEPS.find((each) => each >= least) ?? Math.ceil(least / 86400) * 86400;
  const times: number[] = [];
  for (let n = Math.ceil(from / step); n * step <= to; n++) times.push(n * step);
  return times;
}
