// Rows of lanes: children under their parents, siblings with the same name folded into one.

import { MIN_FOLD } from "./layout";
import type { Cells, Lane, LaneSet } from "./set";

/** Of so many processes that failed, each keeps a row of its own beside those that share one. */
const MAX_FAILED = 10;

export interface LaneRow {
  /** Identifies the row, also in the next answer. */
  key: string;
  depth: number;
  /** Its lanes: one, or all siblings with the same name. */
  lanes: number[];
  /** Whether it stands for several siblings. */
  isGroup: boolean;
  /** Whether rows can be shown below. */
  hasMore: boolean;
  isOpen: boolean;
  label: string;
  /** Processes of its lanes. */
  count: number;
  /** Processes that are hidden below it, those of its own lanes excluded. */
  below: number;
  /** Failed and killed processes of its lanes, and of those hidden below. */
  failed: number;
  oomKilled: number;
  /** CPU time of its lanes, and of those hidden below. */
  cpuNs: number;
  /** When they failed. */
  failedAt: number[];
  start: number | null;
  /** Null if one of them runs, or if unknown. */
  end: number | null;
}

/** CPU time of a row by slot and core, in the order of slots. */
export interface Strip extends Cells {
  first: number;
  last: number;
}

/** By key: whether it was opened (true) or closed by hand. */
export type Toggled = ReadonlyMap<string, boolean>;

/** All rows in order. `fold`: siblings with the same name share a row until it is opened. */
export function laneRows(set: LaneSet, toggled: Toggled, fold: boolean): LaneRow[] {
  const rows: LaneRow[] = [];
  const bad = failures(set);
  const single = (index: number, depth: number): void => {
    const lane = set.lanes[index];
    if (lane === undefined) return;
    const isOpen = toggled.get(lane.key) ?? true;
    rows.push(rowOf(set, [index], lane.key, depth, false, isOpen));
    if (isOpen) place(lane.children, depth + 1, lane.key);
  };
  const place = (members: readonly number[], depth: number, under: string): void => {
    for (const siblings of fold ? alike(set, members, bad) : members.map((index) => [index])) {
      if (siblings.length < MIN_FOLD) {
        siblings.forEach((index) => single(index, depth));
        continue;
      }
      const key = `${under}/${set.lanes[siblings[0] ?? -1]?.label ?? ""}`;
      const isOpen = toggled.get(key) ?? false;
      rows.push(rowOf(set, siblings, key, depth, true, isOpen));
      if (isOpen) siblings.forEach((index) => single(index, depth + 1));
    }
  };
  place(set.roots, 0, "");
  return rows;
}

/** Siblings with the same name together, in the order of their first starts. A few that failed, or have a failure below, stay alone. */
function alike(set: LaneSet, members: readonly number[], bad: readonly number[]): number[][] {
  const failed = members.filter((index) => (bad[index] ?? 0) > 0);
  const alone = failed.length <= MAX_FAILED ? new Set(failed) : new Set<number>();
  const groups = new Map<string, number[]>();
  for (const index of members) {
    const name = alone.has(index) ? `${index}` : `/${set.lanes[index]?.label ?? ""}`;
    const known = groups.get(name);
    if (known === undefined) groups.set(name, [index]);
    else known.push(index);
  }
  // Lanes are in the order of their starts, but for those that the server folded.
  const startOf = (index = -1): number => set.lanes[index]?.start ?? Infinity;
  return [...groups.values()].sort((a, b) => startOf(a[0]) - startOf(b[0]));
}

/** By lane: how many failed, of it and of all below. A parent comes before its children. */
function failures(set: LaneSet): number[] {
  const counts = set.lanes.map((lane) => lane.failed + lane.oomKilled);
  for (const lane of [...set.lanes].reverse()) {
    if (lane.parent !== null) counts[lane.parent] = (counts[lane.parent] ?? 0) + (counts[lane.index] ?? 0);
  }
  return counts;
}

/** `lanes` and all lanes below them. */
function withBelow(set: LaneSet, lanes: readonly number[]): Lane[] {
  const found: Lane[] = [];
  const open = [...lanes].reverse();
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    const lane = set.lanes[index];
    if (lane === undefined) continue;
    found.push(lane);
    open.push(...lane.children);
  }
  return found;
}

function rowOf(set: LaneSet, lanes: number[], key: string, depth: number, isGroup: boolean, isOpen: boolean): LaneRow {
  const own = lanes.map((index) => set.lanes[index]).filter((lane) => lane !== undefined);
  const all = isOpen ? own : withBelow(set, lanes);
  const add = (of: readonly Lane[], field: (lane: Lane) => number): number => of.reduce((sum, lane) => sum + field(lane), 0);
  // What an open group has is shown below.
  const told = isGroup && isOpen ? [] : all;
  const count = add(own, (lane) => lane.count);
  const low = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : Math.min(a, b));
  const high = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : Math.max(a, b));
  return {
    key,
    depth,
    lanes,
    isGroup,
    hasMore: isGroup || own.some((lane) => lane.children.length > 0),
    isOpen,
    label: own[0]?.label ?? "",
    count,
    below: add(all, (lane) => lane.count) - count,
    failed: add(told, (lane) => lane.failed),
    oomKilled: add(told, (lane) => lane.oomKilled),
    cpuNs: add(all, (lane) => lane.cpuNs),
    failedAt: told.filter((lane) => lane.failed > 0 && lane.count === 1 && lane.end !== null).map((lane) => lane.end ?? 0),
    start: own.map((lane) => lane.start).reduce(low, own[0]?.start ?? null),
    end: own.map((lane) => lane.end).reduce(high, own[0]?.end ?? null),
  };
}

/** The CPU time of a row. A closed row has that of all rows below, too. */
export function stripOf(set: LaneSet, row: LaneRow): Strip {
  const [lane, ...others] = row.isOpen ? row.lanes.map((index) => set.lanes[index]).filter((each) => each !== undefined) : withBelow(set, row.lanes);
  if (lane !== undefined && others.length === 0) return { ...set.cells, first: lane.first, last: lane.last };
  const cores = (set.cores.at(-1) ?? 0) + 1;
  const sums = new Map<number, number>();
  for (const each of lane === undefined ? [] : [lane, ...others]) {
    for (let cell = each.first; cell < each.last; cell++) {
      const place = (set.cells.slot[cell] ?? 0) * cores + (set.cells.core[cell] ?? 0);
      sums.set(place, (sums.get(place) ?? 0) + (set.cells.us[cell] ?? 0));
    }
  }
  const places = [...sums.keys()].sort((a, b) => a - b);
  return {
    slot: places.map((place) => Math.floor(place / cores)),
    core: places.map((place) => place % cores),
    us: places.map((place) => sums.get(place) ?? 0),
    first: 0,
    last: places.length,
  };
}
