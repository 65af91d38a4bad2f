// How a process is called on the page. All of it comes from strangers: it is
// text, and goes through Svelte's escaping, never into HTML.

import type { ExitInfo, ProcessInfo } from "./api/types";

/** `cc1 4711`, or `cc1 ×412` for a folded row. The pid is the one inside the container where known. */
export function processLabel(row: ProcessInfo): string {
  if (row.pid === 0) return row.count > 1 ? `${row.name} ×${row.count}` : row.name;
  return `${row.name} ${row.container_pid || row.pid}`;
}

/** The command line, or what is known instead. */
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

/** `code 3`, `signal KILL`, or empty. */
export function exitText(exit: ExitInfo | null | undefined): string {
  if (exit === null || exit === undefined) return "";
  if ("signal" in exit) return `signal ${SIGNALS[exit.signal] ?? exit.signal}`;
  return `code ${exit.code}`;
}

export function failed(exit: ExitInfo | null | undefined): boolean {
  return exit != null && ("signal" in exit || exit.code !== 0);
}
