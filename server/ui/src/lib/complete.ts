// Completes the last word of a filter of the list.

import type { GroupRow } from "./api/types";
import { exactly } from "./rows";

/** Words that begin a filter, and what they are for. */
export const STARTS: readonly (readonly [string, string])[] = [
  ["image:", "part of the image's name"],
  ["host:", "the host; * stands for any text"],
  ["label:", "a label, such as label:team=ml"],
  ["name:", "part of the name"],
  ["recording:", "part of a recording's name"],
  ["state:running", "running now"],
  ["state:ended", "ended"],
  ["state:silent", "no data any more"],
  ["oom", "killed because memory ran out"],
  ["failed:>0", "ended with a code other than 0, or killed"],
  ["exit_code:137", "ended with this code"],
  ["ended:<12h", "ended less than 12 hours ago"],
  ["started:<1h", "started less than an hour ago"],
  ["cpu_now:>1k", "uses more than a core now (thousandths)"],
  ["memory_peak:>1GiB", "more memory at its peak"],
];

/** Columns with values that the server can list. */
const VALUES = ["image", "host", "label", "name", "recording"];

/** The last word of `text`, and what is before it. A blank within quotes is a part of a word. */
export function lastWord(text: string): { before: string; word: string } {
  let start = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') quoted = !quoted;
    if (text[i] === " " && !quoted) start = i + 1;
  }
  return { before: text.slice(0, start), word: text.slice(start) };
}

/** The column whose values complete `word`, if there is one. */
export function valueColumn(word: string): string | null {
  const column = word.slice(0, Math.max(0, word.indexOf(":")));
  return VALUES.includes(column) ? column : null;
}

/** Values of `column` in groups of the list, the most frequent first. A container may have several labels. */
export function valuesOf(column: string, groups: readonly GroupRow[]): string[] {
  const counts = new Map<string, number>();
  for (const group of groups) {
    for (const value of (group.group[column] ?? "").split("\n")) {
      if (value !== "") counts.set(value, (counts.get(value) ?? 0) + group.rows);
    }
  }
  return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([value]) => value);
}

const needsQuotes = (value: string): boolean => /[\s"\\]/.test(value);

/** `column:value`, in quotes if needed. */
export function wordOf(column: string, value: string): string {
  return needsQuotes(value) ? `${column}:"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : `${column}:${value}`;
}

/** A word that only the rows of a group match, which is by a column or a label. */
export const groupWord = (group: string, value: string): string => (group.startsWith("label:") ? exactly("label", `${group.slice(6)}=${value}`) : exactly(group, value));

export interface Completion {
  value: string;
  label: string;
}

/** What the field may become. `values` are those of the column that the last word names. */
export function completions(text: string, values: readonly string[], max: number): Completion[] {
  const { before, word } = lastWord(text);
  const column = valueColumn(word);
  if (column !== null) {
    const typed = word.slice(column.length + 1).replaceAll('"', "").toLowerCase();
    const fitting = values.filter((value) => value.toLowerCase().includes(typed));
    return fitting.slice(0, max).map((value) => ({ value: `${before}${wordOf(column, value)} `, label: value }));
  }
  if (word === "" && before !== "") return [];
  return STARTS.filter(([start]) => start.startsWith(word) && start !== word)
    .slice(0, max)
    .map(([start, label]) => ({ value: before + start, label }));
}
