// Why a figure is unknown.

import type { Summary } from "./api/types";
import { isChisel } from "./measured";

/** A figure of one slot. */
export function whyUnknown(summary: Pick<Summary, "covered" | "accounting">, slot: number): string {
  if (slot < 0) return "there is no data in this range";
  if ((summary.covered[slot] ?? 0) <= 0) return "no data was received for this time";
  return whyMissing(summary.accounting.hooks);
}

/** A figure that is missing although there is data. */
export function whyMissing(hooks: string): string {
  if (isChisel(hooks)) return "the chisel of sysdig does not post it";
  if (hooks === "procfs") return "the agent on this host reads only procfs, which does not have it";
  return "the agent did not measure it in this time";
}

/** The memory of a process. */
export function whyNoMemory(hooks: string): string {
  return isChisel(hooks) ? whyMissing(hooks) : "it was not measured: the process ended before the agent read its memory";
}
