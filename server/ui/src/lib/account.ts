// The account: what stands out in a range, in a few sentences, each with its evidence.
//
// Every rule is here, with its threshold and the source of the threshold. A rule reads
// totals and series of the whole range, never the rows that an answer happens to hold, and
// never an instant: `summary` must be one without `at`.

import type { ContainerItem, PeerInfo, ProcessInfo, Summary } from "./api/types";
import { exitText, processCount } from "./label";
import { unmeasured } from "./measured";
import { peerText } from "./peer";
import { averageOf, knownTime, lastCovered, peak, slotOf, total } from "./slots";
import { heldBackOf } from "./throttled";
import { bytes, clock, cores as coresText, count, duration, near, percent, rate, type Series } from "./units";

export type Weight = "plain" | "warn" | "bad";

/** Where a phrase can be checked. */
export interface Evidence {
  panel: "cpu" | "memory" | "processes" | "files" | "network" | "accounting";
  /** The instant that it is about. */
  at?: number;
}

export interface Phrase {
  text: string;
  weight: Weight;
  evidence: Evidence | null;
}

/** Limits from which on something is said. Shares are in percent. */
export const THRESHOLDS = {
  /** Of the CPU time that would have been used without the limit. `cpu.stat` counts time in which runnable tasks were held back (Linux, scheduler/sched-bwc.rst), so any of it matters. Our choice: less than 1 % is noise. */
  throttled: 1,
  /** Our choice: a core without idle time, but for rounding at the ends of slots. */
  pinned: 97,
  /** Of the limit, or of all cores. The quota is enforced per period of 100 ms (Linux, scheduler/sched-bwc.rst), so use at the limit reads as slightly less. */
  cpuFull: 95,
  /** At `memory.max` the kernel reclaims, and kills if it cannot (Linux, admin-guide/cgroup-v2.rst). Our choice of the distance to it. */
  memoryFull: 95,
  memoryHigh: 80,
  /** Share of time in which some task waited (Linux, accounting/psi.rst). systemd-oomd acts at 60 % (oomd.conf, DefaultMemoryPressureLimit); our choice: at 10 % a job is noticeably slower. */
  pressure: 10,
  /** Our choice: less than this share of one core is idle. */
  idle: 1,
  /** Our choice: from this share of the time on, being idle is worth a phrase. */
  idleTime: 50,
  /** Our choice: of all connections that were tried with a peer. */
  failedPeer: 50,
  /** Our choice: memory grew before a kill if it did so for this many slots, and by this share of the limit. */
  growthSlots: 3,
  growthShare: 10,
  /** Seconds. An end so soon after a kill is its consequence: the runtime reports it later, `docker stop` waits 10 s. */
  endAfterKill: 30,
} as const;

/** Kills and peers that are told one by one. */
const MAX_TOLD = 2;

interface Context {
  container: ContainerItem;
  summary: Summary;
  /** Show times in UTC. */
  utc: boolean;
  /** Mean of a series, without slots that were observed in part. */
  average: (values: Series) => number | null;
}

type Rule = (context: Context) => Phrase[];

const phrase = (text: string, weight: Weight, panel: Evidence["panel"], at?: number): Phrase => ({
  text,
  weight,
  evidence: at === undefined ? { panel } : { panel, at },
});

/** The kernel killed a process because memory ran out: who, how much it had, and how it got there. */
const kills: Rule = ({ container, summary, utc }) => {
  const events = summary.events.filter((event) => event.kind === "oom_kill");
  const rows = new Map(summary.processes.map((row) => [row.key, row]));
  const told = events.slice(0, MAX_TOLD).map((event) => {
    const row = rows.get(event.process ?? "");
    const limit = peak(summary.memory.limit);
    const had = [row?.rss_max == null ? "" : `${bytes(row.rss_max)} resident`, limit === null || limit === 0 ? "" : `limit ${bytes(limit)}`];
    const facts = [row === undefined || row.pid === 0 ? "" : `pid ${row.container_pid || row.pid}`, had.filter(Boolean).join(", ")].filter(Boolean).join("; ");
    const grew = growth(summary, row, event.at);
    const ended = container.ended ?? null;
    const isLast = ended !== null && ended >= event.at - 1 && ended - event.at <= THRESHOLDS.endAfterKill && container.exit_code != null;
    return phrase(
      `${near(event.at, summary.range.to, utc)} the kernel killed ${row?.name ?? "a process"}${facts === "" ? "" : ` (${facts})`}` +
        (grew === null ? "" : ` after ${grew.what} grew ${rate(grew.perSecond)} for ${duration(grew.seconds)}`) +
        (isLast ? `; the container ended with ${container.exit_code}` : ""),
      "bad",
      "memory",
      event.at,
    );
  });
  // The cgroup counts the kills whose events are folded, too.
  const all = Math.max(events.length, summary.totals.oom_kills ?? 0);
  const more = all - told.length;
  if (more > 0) told.push(phrase(`${told.length === 0 ? "" : "another "}${count(more)} out-of-memory ${more === 1 ? "kill" : "kills"}`, "bad", "memory"));
  return told;
};

/** How fast memory grew up to `at`. Null if it did not grow steadily. */
export function growth(summary: Summary, row: ProcessInfo | undefined, at: number): { what: string; perSecond: number; seconds: number } | null {
  const { range, memory } = summary;
  const own = row === undefined ? undefined : memory.processes.find((series) => series.process === row.key);
  for (const [what, values] of [["it", own?.values], ["its memory", memory.current]] as const) {
    if (values === undefined) continue;
    let end = slotOf(range, at);
    // The slot of the kill may have been read after it.
    if (end > 0 && (values[end] ?? 0) < (values[end - 1] ?? 0)) end -= 1;
    let start = end;
    while (start > 0 && values[start - 1] != null && values[start] != null && (values[start - 1] ?? 0) < (values[start] ?? 0)) start -= 1;
    const grown = (values[end] ?? 0) - (values[start] ?? 0);
    const seconds = (end - start) * range.step;
    const least = ((peak(memory.limit) || (values[end] ?? 0)) * THRESHOLDS.growthShare) / 100;
    if (end - start >= THRESHOLDS.growthSlots && grown >= least) return { what, perSecond: grown / seconds, seconds };
  }
  return null;
}

/** `0.5` of 50 %: without zeros at the end. */
const plainCores = (value: number): string => String(Number(coresText(value)));

/** The container ended in this range, and not well. */
const end: Rule = ({ container, summary, utc }) => {
  const { ended, exit_code: code } = container;
  if (ended == null || code == null || code === 0 || ended < summary.range.from || ended > summary.range.to + 1) return [];
  const killed = summary.events.some((event) => event.kind === "oom_kill" && ended >= event.at - 1 && ended - event.at <= THRESHOLDS.endAfterKill);
  if (killed) return [];
  // Codes above 128 are signals, by the convention of shells (POSIX, 2.8.2).
  const signal = code > 128 && code < 193 ? `, ${exitText({ signal: code - 128 })}` : "";
  return [phrase(`ended with ${code}${signal} at ${clock(ended, utc)}`, "bad", "processes", ended)];
};

const throttling: Rule = ({ summary, average }) => {
  const share = heldBackOf(summary.cpu, average) ?? 0;
  if (share < THRESHOLDS.throttled) return [];
  const limit = peak(summary.cpu.limit);
  const by = limit === null ? "its CPU limit" : `its CPU limit of ${plainCores(limit)}`;
  return [phrase(`${by} held back ${percent(share)} of the CPU time that it could have used`, "warn", "cpu")];
};

/** Peers that connections failed to or from, those with most failures first. */
const peers: Rule = ({ summary }) => {
  const failures = total(summary.network.failures);
  if (failures === 0) return [];
  const failing = summary.network.peers.filter((peer) => peer.failures > 0);
  const told = failing.slice(0, MAX_TOLD);
  const phrases = told.map((peer) => {
    const tried = peer.failures + peer.connects;
    const weight: Weight = (100 * peer.failures) / tried >= THRESHOLDS.failedPeer ? "bad" : "warn";
    return phrase(`${count(peer.failures)} of ${count(tried)} connections ${peerWay(peer)} failed`, weight, "network");
  });
  const rest = failures - told.reduce((sum, peer) => sum + peer.failures, 0);
  if (rest > 0) phrases.push(phrase(`${count(rest)} ${told.length > 0 ? "more " : ""}failed ${rest === 1 ? "connection" : "connections"}`, "warn", "network"));
  return phrases;
};

const peerWay = (peer: PeerInfo): string => (peer.role === "server" ? `from ${peerText(peer)}` : `to ${peerText(peer)}`);

const processes: Rule = ({ summary }) => {
  const { total_failed: failed, failed_unknown: unknown, distinct_processes: all } = summary;
  const of = `of ${processCount({ ...summary, distinct_processes: Math.max(failed, unknown, all) })} processes`;
  if (failed === 0) return unknown > 0 ? [phrase(`how ${count(unknown)} ${of} ended is unknown`, "plain", "processes")] : [];
  const [first, ...more] = summary.failed;
  const who = first === undefined ? "" : `: ${first.name} ${exitText(first.exit)}${first.count > 1 ? ` (${count(first.count)} times)` : ""}${more.length > 0 ? ", …" : ""}`;
  return [phrase(`${unknown > 0 ? "at least " : ""}${count(failed)} ${of} failed${who}`, "warn", "processes")];
};

/** What tasks waited for. Waiting for a core because of the limit is told by `throttling`. */
const pressure: Rule = ({ summary, average }) => {
  const told: Phrase[] = [];
  const say = (values: Series, what: string, panel: Evidence["panel"]): void => {
    const share = average(values) ?? 0;
    if (share >= THRESHOLDS.pressure) told.push(phrase(`some task waited for ${what} ${percent(share)} of the time`, "warn", panel));
  };
  if ((heldBackOf(summary.cpu, average) ?? 0) < THRESHOLDS.throttled) say(summary.pressure.cpu, "a core", "cpu");
  say(summary.pressure.memory, "memory", "memory");
  say(summary.pressure.io, "the disk", "files");
  return told;
};

const cpu: Rule = ({ container, summary, average }) => {
  const used = average(summary.cpu.total);
  if (used === null) return [];
  const available = cpuAvailable(container, summary);
  const of = available < Infinity ? ` of ${plainCores(available)} cores` : " cores";
  return [phrase(`${coresText(used)}${of} on average`, used > (THRESHOLDS.cpuFull / 100) * available ? "warn" : "plain", "cpu")];
};

const cpuAvailable = (container: ContainerItem, summary: Summary): number =>
  Math.min(peak(summary.cpu.limit) || Infinity, (container.cores ?? 0) * 100 || Infinity);

/** A single thread is the bottleneck if a core is full and others are not. */
const pinned: Rule = ({ container, summary, average }) => {
  const available = cpuAvailable(container, summary);
  const full = summary.cpu.cores.filter((core) => (average(core.values) ?? 0) >= THRESHOLDS.pinned);
  if (available <= 100 || full.length === 0 || full.length >= available / 100) return [];
  const names = full.slice(0, 4).map((core) => core.core).join(", ");
  return [phrase(`${full.length === 1 ? "core" : "cores"} ${names}${full.length > 4 ? ", …" : ""} full all the time`, "warn", "cpu")];
};

const idle: Rule = ({ container, summary, average }) => {
  const quiet = summary.cpu.total.map((value) => (value === null ? null : value < THRESHOLDS.idle ? 100 : 0));
  const share = average(quiet) ?? 0;
  if (share < THRESHOLDS.idleTime) return [];
  const start = container.started ?? container.first_seen;
  const isLife = container.state === "ended" && summary.range.from <= start + summary.range.step && summary.range.to >= container.last_seen;
  return [phrase(`idle ${percent(share)} of ${isLife ? "its life" : "the time"}`, "plain", "cpu")];
};

const memory: Rule = ({ summary }) => {
  const most = peak(summary.memory.current);
  if (most === null) return [];
  const at = summary.range.from + summary.memory.current.indexOf(most) * summary.range.step;
  const limit = peak(summary.memory.limit);
  if (limit === null || limit === 0) return [phrase(`${bytes(most)} of memory at its peak, no limit`, "plain", "memory", at)];
  const share = (100 * most) / limit;
  const weight: Weight = share >= THRESHOLDS.memoryFull ? "bad" : share >= THRESHOLDS.memoryHigh ? "warn" : "plain";
  return [phrase(`${percent(share)} of its memory limit at its peak`, weight, "memory", at)];
};

const unknown: Rule = ({ container, summary }) => {
  const { lived, known } = knownTime(container, summary);
  const gap = lived - known;
  const told: Phrase[] = [];
  // A start or an end within a slot makes up less than half of one.
  if (gap >= summary.range.step / 2) told.push(phrase(`no data for ${duration(gap)}`, "warn", "accounting"));
  if (summary.accounting.lost > 0) told.push(phrase("not everything could be counted", "warn", "accounting"));
  return told;
};

/** In the order in which they are told, within one weight. */
const RULES: readonly Rule[] = [kills, end, peers, throttling, pressure, pinned, processes, cpu, memory, idle, unknown];
const WEIGHTS: readonly Weight[] = ["bad", "warn", "plain"];

/** What stands out in the range of `summary`, the worst first. */
export function account(container: ContainerItem, summary: Summary, utc: boolean): Phrase[] {
  if (lastCovered(summary.covered) < 0) return [{ text: "no data in this range", weight: "warn", evidence: { panel: "accounting" } }];
  const context: Context = { container, summary, utc, average: averageOf(summary) };
  const all = RULES.flatMap((rule) => rule(context));
  const sorted = WEIGHTS.flatMap((weight) => all.filter((each) => each.weight === weight));
  // What is within bounds is said, too.
  if (all.every((each) => each.weight === "plain")) {
    const what = unmeasured(summary.accounting.hooks);
    sorted.unshift({ text: `nothing stands out${what === "" ? "" : `, but ${what} were not measured`}`, weight: "plain", evidence: null });
  }
  return sorted;
}

