// The lanes of an answer, as objects with their children.

import type { Lanes, RangeInfo } from "../api/types";

export interface Lane {
  index: number;
  key: string;
  /** Names of the programs that it ran, the first one first. */
  names: string[];
  /** `bash → cc1`. */
  label: string;
  command: string;
  pid: number;
  parent: number | null;
  /** Null if unknown. */
  start: number | null;
  /** Null while it runs, or if unknown. */
  end: number | null;
  /** Exit code, or the signal as a negative number. */
  exit: number | null;
  /** How many processes it stands for. */
  count: number;
  failed: number;
  oomKilled: number;
  cpuNs: number;
  rssMax: number | null;
  /** Its cells: from `first` to before `last`. */
  first: number;
  last: number;
  children: number[];
}

/** CPU time by slot and core. */
export interface Cells {
  slot: ArrayLike<number>;
  core: ArrayLike<number>;
  us: ArrayLike<number>;
}

export interface LaneSet {
  range: RangeInfo;
  /** The known part of each slot, 0 to 1. */
  covered: number[];
  lanes: Lane[];
  /** Lanes without a parent. */
  roots: number[];
  cells: Cells;
  /** Cores that were used, in order. */
  cores: number[];
  total: number;
  totalCpuNs: number;
  /** Processes that the answer folded. */
  folded: number;
  /** Processes that were folded before, at least. */
  foldedBefore: number;
}

/** `bash → curl`; of more than three programs the first and the last. */
function labelOf(names: readonly string[]): string {
  return (names.length > 3 ? [names[0], "…", names.at(-1)] : names).join(" → ");
}

export function laneSet(answer: Lanes): LaneSet {
  const columns = answer.lanes;
  const lanes: Lane[] = [];
  const roots: number[] = [];
  let first = 0;
  columns.key.forEach((key, index) => {
    const names = (columns.names[index] ?? []).map((name) => answer.names[name] ?? "");
    const cells = columns.cells[index] ?? 0;
    const parent = columns.parent[index] ?? null;
    lanes.push({
      index,
      key,
      names,
      label: labelOf(names),
      command: columns.command[index] ?? "",
      pid: columns.pid[index] ?? 0,
      parent,
      start: columns.start[index] ?? null,
      end: columns.end[index] ?? null,
      exit: columns.exit[index] ?? null,
      count: columns.count[index] ?? 1,
      failed: columns.failed[index] ?? 0,
      oomKilled: columns.oom_killed[index] ?? 0,
      cpuNs: columns.cpu_ns[index] ?? 0,
      rssMax: columns.rss_max[index] ?? null,
      first,
      last: first + cells,
      children: [],
    });
    first += cells;
    // A parent comes before its children, so there is no circle.
    const above = parent !== null && parent < index ? lanes[parent] : undefined;
    if (above === undefined) roots.push(index);
    else above.children.push(index);
  });
  const { slot, core, cpu_us } = answer.cells;
  return {
    range: answer.range,
    covered: answer.covered,
    lanes,
    roots,
    cells: { slot, core, us: cpu_us },
    cores: [...new Set(core)].sort((a, b) => a - b),
    total: answer.total,
    totalCpuNs: answer.total_cpu_ns,
    folded: answer.folded,
    foldedBefore: answer.folded_before,
  };
}
