// How a process is called on the page. All of it comes from strangers: it is
// text, and goes through Svelte's escaping, never into HTML.

import type { Exit, ProcessRow } from "../lib/api/types";

/** `cc1 4711`, or `cc1 ×412` for a folded row. The pid is the one inside the container where known. */
export function processLabel(key: string, row: ProcessRow | undefined): string {
  if (row === undefined) return key;
  if (row.pid === 0) return row.count > 1 ? `${row.name} ×${row.count}` : row.name;
  return `${row.name} ${row.container_pid || row.pid}`;
}

/** The command line, or what is known instead. */
export function command(row: ProcessRow): string {
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
export function exitText(exit: Exit | null | undefined): string {
  if (exit === null || exit === undefined) return "";
  if (exit.signal !== null && exit.signal !== undefined) return `signal ${SIGNALS[exit.signal] ?? exit.signal}`;
  return exit.code === null || exit.code === undefined ? "" : `code ${exit.code}`;
}

export function failed(exit: Exit | null | undefined): boolean {
  return exit != null && (exit.signal != null || (exit.code ?? 0) !== 0);
}
