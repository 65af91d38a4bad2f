// In what two containers differ, as rows of text.

import type { Comparison, Side, Usage } from "./api/types";
import { isScanned } from "./measured";
import { bytes, count, cpuTime, duration, UNKNOWN } from "./units";

export interface Figure {
  label: string;
  own: string;
  other: string;
  /** The change from the other container to this one; empty if nothing changed or it is unknown. */
  change: string;
  /** Whether this container has more (1), less (-1), or as much as the other. */
  sign: -1 | 0 | 1;
}

/** A figure of `Usage`. */
export type UsageKey = Exclude<keyof Usage, "processes_at_least" | "failed_unknown">;

export const USAGE: { key: UsageKey; label: string; text: (value: number | null | undefined) => string }[] = [
  { key: "cpu_ns", label: "CPU", text: cpuTime },
  { key: "memory_max", label: "peak memory", text: bytes },
  { key: "bytes_in", label: "read", text: bytes },
  { key: "bytes_out", label: "written", text: bytes },
  { key: "received", label: "received", text: bytes },
  { key: "sent", label: "sent", text: bytes },
  { key: "processes", label: "processes", text: count },
  { key: "failed", label: "failed processes", text: count },
  { key: "failures", label: "failed connections", text: count },
];

/** Whether the figure is a lower bound. */
const isAtLeast = (usage: Usage, key: UsageKey): boolean => (key === "processes" && usage.processes_at_least) || (key === "failed" && usage.failed_unknown > 0 && usage.failed > 0);

/** The figure; null if nothing is known of it. How folded processes ended is unknown. */
export const usageValue = (usage: Usage | null | undefined, key: UsageKey): number | null =>
  usage == null || (key === "failed" && usage.failed === 0 && usage.failed_unknown > 0) ? null : (usage[key] ?? null);

/** The figure as text: `at least 3` of a lower bound. */
export const usageText = (usage: Usage | null | undefined, key: UsageKey, text: (value: number | null | undefined) => string): string =>
  `${usage != null && isAtLeast(usage, key) ? "at least " : ""}${text(usageValue(usage, key))}`;

/** The change of a figure. Lower bounds may hide any change. */
export const usageChange = (own: Usage | null | undefined, other: Usage | null | undefined, key: UsageKey): string =>
  [own, other].some((usage) => usage != null && isAtLeast(usage, key)) ? "" : changeText(usageValue(own, key), usageValue(other, key));

/** `+25 %`, `×3.2`, or `new` if there was nothing before. */
export function changeText(own: number | null | undefined, other: number | null | undefined): string {
  if (own == null || other == null || own === other) return "";
  if (other === 0) return "new";
  if (own === 0) return "gone";
  const ratio = own / other;
  if (ratio >= 2) return `×${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(1)}`;
  const part = (ratio - 1) * 100;
  const text = Math.abs(part) >= 10 ? Math.abs(part).toFixed(0) : Math.abs(part) >= 0.1 ? Math.abs(part).toFixed(1) : "< 0.1";
  return `${part > 0 ? "+" : "−"}${text} %`;
}

export function figure(label: string, own: number | null | undefined, other: number | null | undefined, text: (value: number | null | undefined) => string): Figure {
  const sign = own == null || other == null ? 0 : (Math.sign(own - other) as -1 | 0 | 1);
  return { label, own: text(own), other: text(other), change: changeText(own, other), sign };
}

/** How a container ended. */
function ending({ container }: Side): string {
  if (container.oom_killed) return `${container.exit_code ?? UNKNOWN} (out of memory)`;
  if (container.exit_code != null) return String(container.exit_code);
  return container.state === "running" ? "it runs" : "unknown";
}

/** Seconds that may lie between the start of the only life and the slot in which it was first seen. */
const FIRST_SLOT = 60;

/**
 * Seconds from start to end; of one that runs, until now as far as was seen. Start and end are those of the newest life,
 * and all sums those of all lives: of one with several it is the time from the first to the last.
 */
function lived({ container, seconds }: Side): number {
  const { started, ended, first_seen } = container;
  const isOnlyLife = started != null && started - first_seen < FIRST_SLOT;
  return isOnlyLife && ended != null ? ended - started : seconds;
}

/** Figures that scans of /proc do not have. */
const NOT_SCANNED = new Set<UsageKey>(["received", "sent", "failed", "failures"]);

/** What was used as a whole; null if the figure was not measured there. */
const usageOf = ({ container, usage }: Side, key: UsageKey): Usage | null => (isScanned(container.hooks) && NOT_SCANNED.has(key) ? null : usage);

/** A figure of the whole. */
function ofUsage(own: Usage | null, other: Usage | null, { key, label, text }: (typeof USAGE)[number]): Figure {
  const change = usageChange(own, other, key);
  const { sign } = figure(label, usageValue(own, key), usageValue(other, key), text);
  return { label, own: usageText(own, key, text), other: usageText(other, key, text), change, sign: change === "" ? 0 : sign };
}

/** The figures of both as a whole. */
export function figures({ own, other }: Comparison): Figure[] {
  const exit = { label: "exit", own: ending(own), other: ending(other) };
  return [
    figure("duration", lived(own), lived(other), duration),
    { ...exit, change: exit.own === exit.other ? "" : "differs", sign: 0 },
    ...USAGE.map((each) => ofUsage(usageOf(own, each.key), usageOf(other, each.key), each)),
    figure("held back by its limit, over all cores", own.throttled_ns, other.throttled_ns, cpuTime),
  ];
}

/** What is missing in the sums of one of them. Empty if nothing is. */
export function missing(side: Side): string {
  const unknown = side.seconds - side.known_seconds;
  return unknown < 1 ? "" : `${side.container.name || side.container.id}: nothing is known of ${duration(unknown)} of its life, which all sums lack`;
}
