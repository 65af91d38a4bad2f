// Labels of processes. All of it is untrusted input: it is shown as text, through
// Svelte's escaping, and never inserted as HTML.

import type { ExitInfo, ProcessInfo, Summary } from "./api/types";
import { count } from "./units";

/** `cc1 4711`, or `cc1 ×412` for a folded row. Shows the pid inside the container if it is known. */
export function processLabel(row: ProcessInfo): string {
  const times = foldedCount(row);
  if (row.pid === 0) return times === "" ? row.name : `${row.name} ${times}`;
  return `${row.name} ${row.container_pid || row.pid}`;
}

/** `×412`, or `×≥412` if it is a lower bound. Empty for a single process. */
export function foldedCount(row: ProcessInfo): string {
  if (row.count <= 1 && !row.count_at_least) return "";
  return `×${row.count_at_least ? "≥" : ""}${count(row.count)}`;
}

/** `123`, or `at least 123` if some are in folded rows of unknown size. */
export const processCount = (of: Pick<Summary, "distinct_processes" | "distinct_at_least">): string => `${of.distinct_at_least ? "at least " : ""}${count(of.distinct_processes)}`;

/** The command line, else the path of the program, else the name. */
export function command(row: ProcessInfo): string {
  if (row.args.length > 0) return row.args.map(quote).join(" ");
  return row.exe || row.name;
}

function quote(word: string): string {
  return word === "" || /[\s'"\\]/.test(word) ? `'${word.replaceAll("'", "'\\''")}'` : word;
}

const SIGNALS: Record<number, string> = {
  1: "HUP",
  2: "INT",
  3: "QUIT",
  4: "ILL",
  6: "ABRT",
  7: "BUS",
  8: "FPE",
  9: "KILL",
  11: "SEGV",
  13: "PIPE",
  14: "ALRM",
  15: "TERM",
};

/** `code 3`, `signal KILL`, or an empty string. */
export function exitText(exit: ExitInfo | null | undefined): string {
  if (exit === null || exit === undefined) return "";
  if ("signal" in exit) return `signal ${SIGNALS[exit.signal] ?? exit.signal}`;
  return `code ${exit.code}`;
}

export function failed(exit: ExitInfo | null | undefined): boolean {
  return exit != null && ("signal" in exit || exit.code !== 0);
}
