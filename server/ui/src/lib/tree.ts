// The table of processes as a tree. A process stands below the parent that ran when
// it started. The programs that one process ran are one row (`bash → curl`), and many
// leaves with the same name share one row (`cc1 ×412`).

import type { ProcessInfo } from "./api/types";
import { exitText, failed } from "./label";
import { addCounts, peak } from "./slots";
import { count, UNKNOWN } from "./units";

/** A process with all programs that it ran. */
export interface ProcessLine extends ProcessInfo {
  /** Names of its programs, the first one first. */
  programs: string[];
  /** Of a group: how many of its processes failed. */
  failures?: number;
}

export interface ProcessNode {
  /** The row. For a group, the sum of its members. */
  row: ProcessLine;
  /** Sums of the row and of all rows below. */
  total: ProcessLine;
  /** Number of rows below. */
  below: number;
  depth: number;
  children: ProcessNode[];
  /** Members, if the row is a group. */
  group: ProcessLine[] | null;
}

/** Minimum number of leaves with the same name that share one row. */
export const MIN_GROUP_SIZE = 6;
/** A tree with at most this many rows is open as a whole. */
export const MAX_OPEN_ROWS = 40;

/** Drops rows whose key occurred before. A keyed list must not contain a key twice. */
export function distinct<Row extends ProcessInfo>(rows: readonly Row[]): Row[] {
  const seen = new Set<string>();
  return rows.filter((row) => !seen.has(row.key) && seen.add(row.key));
}

/** `PID-START`, of a key or of a link: the same for all programs of a process. */
export const lifeOf = (key: string): string => key.split("-", 2).join("-");

/** One line per process: a fork and its execs are the same process. */
export function mergePrograms(rows: readonly ProcessInfo[]): ProcessLine[] {
  const lives = new Map<string, ProcessInfo[]>();
  for (const row of rows) {
    const life = row.pid === 0 ? row.key : `${row.pid}-${row.start}`;
    const known = lives.get(life);
    if (known === undefined) lives.set(life, [row]);
    else known.push(row);
  }
  return [...lives.values()].map((programs) => {
    const [first, ...more] = programs.sort((a, b) => a.exec - b.exec);
    const last = more.at(-1);
    if (first === undefined || last === undefined) return { ...(first as ProcessInfo), programs: [first?.name ?? ""] };
    const names = programs.map((row) => row.name).filter((name, i, all) => name !== all[i - 1]);
    return { ...last, ...used(programs), parent: first.parent, count: 1, programs: names };
  });
}

/** `bash → curl`; of more than three programs the first and the last. */
export function programsText(programs: readonly string[]): string {
  return (programs.length > 3 ? [programs[0], "…", programs.at(-1)] : programs).join(" → ");
}

export function processTree(rows: readonly ProcessLine[], compare: (a: ProcessInfo, b: ProcessInfo) => number): ProcessNode[] {
  const byPid = new Map<number, ProcessLine[]>();
  for (const row of rows) {
    if (row.pid === 0) continue;
    const known = byPid.get(row.pid);
    if (known === undefined) byPid.set(row.pid, [row]);
    else known.push(row);
  }
  const children = new Map<ProcessInfo | null, ProcessLine[]>();
  for (const row of rows) {
    const parent = parentOf(row, byPid);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [row]);
    else siblings.push(row);
  }
  const leaf = (row: ProcessLine, depth: number): ProcessNode => ({ row, total: row, below: 0, depth, children: [], group: null });
  const build = (parent: ProcessInfo | null, depth: number): ProcessNode[] => {
    const leaves = new Map<string, ProcessLine[]>();
    const nodes: ProcessNode[] = [];
    for (const row of children.get(parent) ?? []) {
      if (children.has(row)) {
        const under = build(row, depth + 1);
        const total = { ...row, ...used([row, ...under.map((node) => node.total)]) };
        nodes.push({ row, total, below: under.reduce((sum, node) => sum + 1 + node.below, 0), depth, children: under, group: null });
      } else if (row.end === null || row.end === undefined) {
        nodes.push(leaf(row, depth));
      } else {
        const name = programsText(row.programs);
        const alike = leaves.get(name);
        if (alike === undefined) leaves.set(name, [row]);
        else alike.push(row);
      }
    }
    for (const [name, alike] of leaves) {
      if (alike.length < MIN_GROUP_SIZE) {
        nodes.push(...alike.map((row) => leaf(row, depth)));
        continue;
      }
      const members = [...alike].sort(compare);
      const row = { ...sum(members), key: `alike ${parent?.key ?? ""} ${name}` };
      nodes.push({ row, total: row, below: members.length, depth, children: members.map((member) => leaf(member, depth + 1)), group: members });
    }
    // Siblings are in the order of what their subtrees used.
    return nodes.sort((a, b) => compare(a.total, b.total));
  };
  return build(null, 0);
}

/** The highest nodes that ran a program called `name`, with all below them. */
export function rootedAt(nodes: readonly ProcessNode[], name: string): ProcessNode[] {
  const isNamed = ({ row }: ProcessNode): boolean => row.programs.includes(name) || row.exe.split("/").at(-1) === name;
  const raised = (node: ProcessNode, by: number): ProcessNode => ({ ...node, depth: node.depth - by, children: node.children.map((child) => raised(child, by)) });
  return nodes.flatMap((node) => (isNamed(node) ? [raised(node, node.depth)] : rootedAt(node.children, name)));
}

/** What the processes of nodes and of all below them used together, and how many they are. */
export function sumOf(nodes: readonly ProcessNode[]): ReturnType<typeof used> & { processes: number } {
  const processes = nodes.reduce((sum, node) => sum + node.below + (node.group === null ? 1 : 0), 0);
  return { processes, ...used(nodes.map((node) => node.total)) };
}

/** Keys of the rows that are open at first: all of a small tree, else the path of those that used most CPU. */
export function openAtFirst(nodes: readonly ProcessNode[]): Set<string> {
  const open = new Set<string>();
  const size = (level: readonly ProcessNode[]): number => level.reduce((sum, node) => sum + 1 + (node.group === null ? size(node.children) : 0), 0);
  if (size(nodes) <= MAX_OPEN_ROWS) {
    const walk = (level: readonly ProcessNode[]): void => {
      for (const node of level) {
        if (node.group === null) open.add(node.row.key);
        walk(node.children);
      }
    };
    walk(nodes);
    return open;
  }
  let level = nodes;
  while (level.length > 0) {
    const heaviest = level.reduce((a, b) => (b.total.cpu_ns > a.total.cpu_ns ? b : a));
    if (heaviest.group !== null) break;
    open.add(heaviest.row.key);
    level = heaviest.children;
  }
  return open;
}

/** The row of the parent process that ran when `row` started. */
function parentOf(row: ProcessLine, byPid: Map<number, ProcessLine[]>): ProcessLine | null {
  // A parent starts before its child, or at the same time with a lower pid. So no row is its own ancestor.
  const older = (other: ProcessLine): boolean =>
    other.start < row.start || (other.start === row.start && other.pid < row.pid);
  const parents = (byPid.get(row.parent) ?? []).filter(older);
  return parents.sort((a, b) => b.start - a.start)[0] ?? null;
}

/** What several rows used together. Memory is the highest of one row, as they may have held it at different times. */
function used(rows: readonly ProcessInfo[]) {
  const add = (field: (row: ProcessInfo) => number) => rows.reduce((total, row) => total + field(row), 0);
  const highest = (field: (row: ProcessInfo) => number | null | undefined) => peak(rows.map((row) => field(row) ?? null));
  return {
    cpu_ns: add((row) => row.cpu_ns),
    waits: rows.reduce((sums: Record<string, number>, row) => addCounts(sums, row.waits), {}),
    waits_known: rows.some((row) => row.waits_known),
    rss_max: highest((row) => row.rss_max),
    private_max: highest((row) => row.private_max),
    vm_max: highest((row) => row.vm_max),
    swap_max: highest((row) => row.swap_max),
    bytes_in: add((row) => row.bytes_in),
    bytes_out: add((row) => row.bytes_out),
    received: add((row) => row.received),
    sent: add((row) => row.sent),
  };
}

function sum(rows: ProcessLine[]): ProcessLine {
  const first = rows[0] as ProcessLine;
  const failures = rows.filter((row) => failed(row.exit));
  return {
    ...first,
    ...used(rows),
    args: [],
    start: rows.reduce((low, row) => Math.min(low, row.start), first.start),
    end: rows.reduce((top, row) => Math.max(top, row.end ?? 0), 0),
    exit: failures[0]?.exit ?? first.exit ?? null,
    failures: failures.length,
    count: rows.reduce((total, row) => total + row.count, 0),
    count_at_least: rows.some((row) => row.count_at_least),
  };
}

/** How a process ended: `code 3`, `signal KILL`; of a group `2 failed`. Empty if that is unknown. */
export const endText = (row: ProcessLine): string => ((row.failures ?? 0) > 0 ? `${count(row.failures)} failed` : exitText(row.exit));

/** What the column of ends is sorted by. As in the server, running processes are before all that ended. */
export const endOrder = (row: Pick<ProcessInfo, "end">): number => row.end ?? -1;

/** Whether the figures of a row are sums that may lack rows: the tree is cut, and the row stands for others. */
export const mayLack = (node: ProcessNode, isOpen: boolean, isCut: boolean): boolean => isCut && (node.group !== null || (node.below > 0 && !isOpen));

/** A figure that may lack rows, as text. */
export const atLeast = (text: string): string => (text === "" || text === UNKNOWN ? text : `≥ ${text}`);

/** The visible rows in order. Rows below another one are visible if `open` contains its key. */
export function flatten(nodes: readonly ProcessNode[], open: ReadonlySet<string>): ProcessNode[] {
  const rows: ProcessNode[] = [];
  const walk = (level: readonly ProcessNode[]): void => {
    for (const node of level) {
      rows.push(node);
      if (open.has(node.row.key)) walk(node.children);
    }
  };
  walk(nodes);
  return rows;
}
