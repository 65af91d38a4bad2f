// The verdict: what a person would say after a look at all the charts, in one
// line. Each phrase has a weight, which the page shows by more than colour.

import type { ContainerItem, Summary } from "./api/types";
import { knownTime, lastCovered, mean, peak } from "./slots";
import { ago, bytes, count, cores as coresText, duration, percent } from "./units";

export type Weight = "plain" | "warn" | "bad";

export interface Phrase {
  text: string;
  weight: Weight;
}

/** Slots over which "now" is taken. */
const NOW = 10;

export function verdict(container: ContainerItem, summary: Summary, live: boolean): Phrase[] {
  const phrases: Phrase[] = [];
  const say = (text: string, weight: Weight = "plain") => phrases.push({ text, weight });
  const last = lastCovered(summary.covered);
  if (last < 0) {
    say("nothing was counted in this range", "warn");
    return phrases;
  }
  const from = live ? Math.max(0, last - NOW + 1) : 0;

  const cpu = mean(summary.cpu.total, from);
  const limit = peak(summary.cpu.limit);
  const available = Math.min(limit || Infinity, (container.cores ?? 0) * 100 || Infinity);
  if (cpu !== null) {
    const of = available < Infinity ? ` of ${coresText(available).replace(/\.0$/, "")} cores` : " cores";
    say(`${coresText(cpu)}${of}${live ? "" : " on average"}`, cpu > 0.95 * available ? "warn" : "plain");
  }
  if (available > 100) {
    const pinned = summary.cpu.cores.filter((core) => (mean(core.values, from) ?? 0) >= 97);
    if (pinned.length > 0 && pinned.length < available / 100) {
      const names = pinned.slice(0, 4).map((core) => core.core).join(", ");
      say(`core ${names} pinned at 100 %`, "warn");
    }
  }
  const throttled = mean(summary.cpu.throttled, from) ?? 0;
  if (throttled >= 1) say(`held back by its CPU limit ${percent(Math.min(100, throttled))} of the time`, "warn");

  const memory = live ? summary.memory.current[last] ?? null : peak(summary.memory.current);
  const memoryLimit = peak(summary.memory.limit);
  if (memory !== null) {
    const peakWord = live ? "" : " at its peak";
    if (memoryLimit !== null && memoryLimit > 0) {
      const share = (100 * memory) / memoryLimit;
      say(`${percent(share)} of its memory limit${peakWord}`, share >= 95 ? "bad" : share >= 80 ? "warn" : "plain");
    } else {
      say(`${bytes(memory)} of memory${peakWord}, no limit`);
    }
  }
  const kills = summary.events.filter((event) => event.kind === "oom_kill").length;
  if (kills > 0) say(`${kills} out-of-memory ${kills === 1 ? "kill" : "kills"}`, "bad");
  const refused = summary.network.rows.reduce((sum, row) => sum + row.failures, 0);
  if (refused > 0) say(`${count(refused)} failed ${refused === 1 ? "connection" : "connections"}`, "warn");
  const { lived, known } = knownTime(container, summary);
  const gap = lived - known;
  // Less than that is what ended, or began, within a slot.
  if (gap >= summary.range.step / 2) say(`${duration(gap)} not counted`, "warn");
  return phrases;
}

/** `running 3 h`, `exited 137, out of memory`, … */
export function stateText(container: ContainerItem, now: number): string {
  const start = container.started ?? container.first_seen;
  if (container.state === "silent") return `silent, last seen ${ago(now - container.last_seen)}`;
  if (container.state === "running") return `running ${duration(Math.max(0, Math.floor(now - start)))}`;
  const end = container.ended ?? container.last_seen;
  const ran = `after ${duration(Math.max(0, end - start))}`;
  if (container.exit_code === null || container.exit_code === undefined) {
    return container.oom_killed ? `ended, out of memory, ${ran}` : `ended ${ran}`;
  }
  return `exited ${container.exit_code}${container.oom_killed ? ", out of memory," : ""} ${ran}`;
}
