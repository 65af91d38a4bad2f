// Memory stacked by process, compared with what the container had.

import type { MemoryPanel } from "./api/types";
import { stack } from "./chart/stack";

/** Why the stack is higher than what the container had. Empty if it is not. */
export function stackNote(memory: MemoryPanel, isFolded: boolean): string {
  if (memory.measure === "virtual") return "Only the virtual size was measured: a process may use far less.";
  const series = [...memory.processes.map((process) => process.values), memory.shared];
  const top = stack(series).at(-1) ?? [];
  const above = (values: readonly (number | null)[], bounds: readonly (number | null)[]): boolean =>
    values.some((value, i) => value !== null && bounds[i] != null && value > (bounds[i] ?? 0));
  // When the processes of a folded row lived is unknown.
  if (isFolded) return above(top, memory.current) ? "The container had less: processes share pages, or held them at different times." : "";
  const notes: string[] = [];
  if (above(memory.at_one_time, memory.current)) notes.push(memory.shared.every((value) => value === null) ? "Processes share pages: each counts them, the container has them once." : "The container had less when it was read: processes ended in between, or their shared pages are not known.");
  if (above(top, memory.at_one_time)) notes.push("Not all of this was held at one time: each process has its highest value of a slot.");
  return notes.join(" ");
}
