// Events as rows of a table: one by one, or in groups of the same kind, detail and program.

import type { EventCell, EventInfo, GroupRow, ProcessInfo } from "./api/types";
import { count } from "./units";

export interface EventLine {
  key: string;
  kind: string;
  /** Name of the process; empty if there is none. */
  name: string;
  /** Key of the process; empty if there is none, or for a group. */
  process: string;
  detail: string;
  /** Null for a group. */
  at: number | null;
  count: number;
}

const KINDS: Record<string, string> = {
  container_start: "container started",
  container_end: "container ended",
  oom_kill: "killed: out of memory",
  connection_failed: "connection failed",
  folded: "more events, folded",
};

export const kindText = (kind: string): string => KINDS[kind] ?? kind;

/** `connection failed 42, container started 1`, the most frequent first. */
export function countsText(counts: Record<string, number>): string {
  return Object.entries(counts)
    .sort((a, b) => b[1] - a[1])
    .map(([kind, n]) => `${kindText(kind)} ${count(n)}`)
    .join(", ");
}

/** Columns that the events of a group agree in. */
export const GROUP = "kind,detail,name";

export const lineOf = (cell: EventCell): EventLine => ({ ...cell, key: JSON.stringify([cell.at, cell.kind, cell.process, cell.detail]) });

export function groupLine({ group, sums }: GroupRow): EventLine {
  const { kind = "", detail = "", name = "" } = group;
  return { key: JSON.stringify([kind, name, detail]), kind, name, process: "", detail, at: null, count: sums.count ?? 0 };
}

/** The events of a summary, which has all of them. */
export function localLines(events: readonly EventInfo[], names: ReadonlyMap<string, Pick<ProcessInfo, "name" | "pid">>): EventLine[] {
  return events.map(({ at, kind, detail, process }) => {
    const known = names.get(process ?? "");
    const count = kind === "folded" ? Number(detail) || 1 : 1;
    return lineOf({ at, kind, detail, process: process ?? "", name: known?.name ?? "", pid: known?.pid ?? 0, count });
  });
}

/** The same in groups. */
export function grouped(lines: readonly EventLine[]): EventLine[] {
  const groups = new Map<string, EventLine>();
  for (const { kind, name, detail, count } of lines) {
    const fresh = groupLine({ group: { kind, name, detail }, sums: { count: 0 }, rows: 0 } as unknown as GroupRow);
    const group = groups.get(fresh.key) ?? fresh;
    groups.set(group.key, { ...group, count: group.count + count });
  }
  return [...groups.values()];
}
