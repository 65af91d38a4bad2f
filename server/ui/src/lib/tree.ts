// The table of processes as a tree: children under the parent that was alive
// when they began, many alike leaves under one row (`cc1 ×412`).

import type { ProcessInfo } from "./api/types";
import { failed } from "./label";

export interface ProcessNode {
  /** The row; for a group the sum of its members. */
  row: ProcessInfo;
  depth: number;
  children: ProcessNode[];
  /** Members, when the row stands for several alike. */
  group: ProcessInfo[] | null;
}

/** From how many alike leaves on they are shown as one row. */
export const ALIKE = 6;

/** Rows with the same key twice would be one in a table's eyes: the first counts. */
export function distinct(rows: readonly ProcessInfo[]): ProcessInfo[] {
  const seen = new Set<string>();
  return rows.filter((row) => !seen.has(row.key) && seen.add(row.key));
}

export function processTree(rows: readonly ProcessInfo[], compare: (a: ProcessInfo, b: ProcessInfo) => number): ProcessNode[] {
  const byPid = new Map<number, ProcessInfo[]>();
  for (const row of rows) {
    if (row.pid === 0) continue;
    const known = byPid.get(row.pid);
    if (known === undefined) byPid.set(row.pid, [row]);
    else known.push(row);
  }
  const children = new Map<ProcessInfo | null, ProcessInfo[]>();
  for (const row of rows) {
    const parent = parentOf(row, byPid);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [row]);
    else siblings.push(row);
  }
  const build = (parent: ProcessInfo | null, depth: number): ProcessNode[] => {
    const leaves = new Map<string, ProcessInfo[]>();
    const nodes: ProcessNode[] = [];
    for (const row of children.get(parent) ?? []) {
      if (children.has(row) || row.end === null || row.end === undefined) {
        nodes.push({ row, depth, children: build(row, depth + 1), group: null });
      } else {
        const alike = leaves.get(row.name);
        if (alike === undefined) leaves.set(row.name, [row]);
        else alike.push(row);
      }
    }
    for (const alike of leaves.values()) {
      const leaf = (row: ProcessInfo, at: number): ProcessNode => ({ row, depth: at, children: [], group: null });
      if (alike.length < ALIKE) nodes.push(...alike.map((row) => leaf(row, depth)));
      else {
        const members = [...alike].sort(compare);
        nodes.push({
          row: { ...sum(members), key: `alike ${parent?.key ?? ""} ${members[0]?.name}` },
          depth,
          children: members.map((row) => leaf(row, depth + 1)),
          group: members,
        });
      }
    }
    return nodes.sort((a, b) => compare(a.row, b.row));
  };
  return build(null, 0);
}

/** The row of the parent process that was alive when `row` began. */
function parentOf(row: ProcessInfo, byPid: Map<number, ProcessInfo[]>): ProcessInfo | null {
  // A program that was exec'd stands under what the same process ran before.
  const before = (byPid.get(row.pid) ?? []).filter((other) => other.start === row.start && other.exec < row.exec);
  const previous = before.sort((a, b) => b.exec - a.exec)[0];
  if (previous !== undefined) return previous;
  // A parent began before its child; of two that began at once it is the lower pid. So no row is its own ancestor.
  const older = (other: ProcessInfo): boolean =>
    other.start < row.start || (other.start === row.start && other.pid < row.pid);
  const parents = (byPid.get(row.parent) ?? []).filter(older);
  return parents.sort((a, b) => b.start - a.start || b.exec - a.exec)[0] ?? null;
}

function sum(rows: ProcessInfo[]): ProcessInfo {
  const first = rows[0] as ProcessInfo;
  const add = (field: (row: ProcessInfo) => number) => rows.reduce((total, row) => total + field(row), 0);
  const most = (field: (row: ProcessInfo) => number) => rows.reduce((top, row) => Math.max(top, field(row)), 0);
  const failure = rows.find((row) => failed(row.exit));
  return {
    ...first,
    args: [],
    start: rows.reduce((low, row) => Math.min(low, row.start), first.start),
    end: most((row) => row.end ?? 0),
    exit: failure?.exit ?? first.exit ?? null,
    count: add((row) => row.count),
    cpu_ns: add((row) => row.cpu_ns),
    rss_max: most((row) => row.rss_max),
    vm_max: most((row) => row.vm_max),
    swap_max: most((row) => row.swap_max),
    bytes_in: add((row) => row.bytes_in),
    bytes_out: add((row) => row.bytes_out),
    received: add((row) => row.received),
    sent: add((row) => row.sent),
  };
}

/** The rows to show, in order; what is under a group shows when `open` has its key. */
export function flatten(nodes: readonly ProcessNode[], open: ReadonlySet<string>): ProcessNode[] {
  const rows: ProcessNode[] = [];
  const walk = (level: readonly ProcessNode[]): void => {
    for (const node of level) {
      rows.push(node);
      if (node.group === null || open.has(node.row.key)) walk(node.children);
    }
  };
  walk(nodes);
  return rows;
}
