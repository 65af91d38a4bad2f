// What the page says about a row of lanes, at a time.

import { exitText } from "../label";
import { count, cpuTime, duration, near, percent } from "../units";
import { sharesIn } from "./layout";
import type { LaneRow, Strip } from "./rows";
import type { LaneSet } from "./set";

/** `code 1`, `signal KILL`; an exit code is positive, a signal negative. */
export function exitOf(exit: number | null): string {
  if (exit === null) return "";
  return exitText(exit < 0 ? { signal: -exit } : { code: exit });
}

/** `cc1 ×812`. */
export function rowLabel(row: LaneRow): string {
  return `${row.label}${row.count > 1 ? ` ×${count(row.count)}` : ""}${row.below > 0 ? ` +${count(row.below)}` : ""}`;
}

/** Lines about a row, and about what it did at `at`. */
export function describe(set: LaneSet, row: LaneRow, strip: Strip, at: number | null, utc: boolean): string[] {
  const lane = row.lanes.length === 1 ? set.lanes[row.lanes[0] ?? 0] : undefined;
  const lines = [`${rowLabel(row)}${lane !== undefined && lane.count === 1 ? ` (pid ${lane.pid})` : ""}`];
  if (lane?.command) lines.push(lane.command);
  lines.push(lifeText(set, row, lane?.exit ?? null, utc));
  const isMany = row.isGroup || row.below > 0 || row.count > 1;
  const facts = [`${cpuTime(row.cpuNs)} of CPU`];
  if (row.below > 0) facts.push(`with ${count(row.below)} processes below`);
  if (row.failed > 0 && isMany) facts.push(`${count(row.failed)} failed`);
  if (row.oomKilled > 0) facts.push(isMany ? `${count(row.oomKilled)} killed: out of memory` : "killed: out of memory");
  lines.push(facts.join("; "));
  if (at !== null) lines.push(momentText(set, row, strip, at, utc));
  return lines;
}

function lifeText(set: LaneSet, row: LaneRow, exit: number | null, utc: boolean): string {
  if (row.start === null) return "start and end unknown: such processes were folded by name to bound the data";
  const from = near(row.start, set.range.to, utc);
  if (row.end === null) return `since ${from}`;
  const text = exitOf(exit);
  return `${from}, ${duration(row.end - row.start)}${text === "" ? "" : `, ${text}`}`;
}

function momentText(set: LaneSet, row: LaneRow, strip: Strip, at: number, utc: boolean): string {
  const { range } = set;
  const slot = Math.floor((at - range.from) / range.step);
  const time = near(range.from + slot * range.step, range.to, utc);
  if ((row.start !== null && at < row.start) || (row.end !== null && at >= row.end)) return `${near(at, range.to, utc)}: not alive`;
  if (slot < 0 || slot >= range.slots) return "";
  const shares = sharesIn(set, row, strip, slot);
  if (shares === null) return `${time}: unknown, no data was received`;
  const all = shares.reduce((sum, share) => sum + share.percent, 0);
  const cores = shares.map((share) => (shares.length === 1 ? `core ${share.core}` : `core ${share.core} ${percent(share.percent)}`)).join(", ");
  return `${time}, ${duration(range.step)}: ${shares.length === 0 ? "idle" : `${percent(all)} (${cores})`}`;
}
