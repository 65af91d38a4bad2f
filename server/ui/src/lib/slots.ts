// Slots: the equal pieces of time that a summary's series are made of. Appends the
// slots that arrive live to those that are already there.

import type { ConnectionInfo, ContainerItem, CoreSeries, FileInfo, PeerInfo, ProcessInfo, Summary } from "./api/types";
import { OTHER } from "./palette";
import { count, UNKNOWN, type Series } from "./units";

type Values = (number | null)[];

/** Start of each slot, then the end of the last one, up to which its step is drawn. */
export function slotTimes(range: Summary["range"]): number[] {
  return Array.from({ length: range.slots + 1 }, (_, i) => range.from + i * range.step);
}

/** Index of the slot that contains `at`, or -1. */
export function slotOf(range: Summary["range"], at: number): number {
  const slot = Math.floor((at - range.from) / range.step + 1e-6);
  return slot >= 0 && slot < range.slots ? slot : -1;
}

/** Index of the last slot with data, or -1. */
export function lastCovered(covered: readonly number[]): number {
  for (let i = covered.length - 1; i >= 0; i--) if ((covered[i] ?? 0) > 0) return i;
  return -1;
}

/** Whether most of what is known about a slot was observed in part: its values are too low or too high. */
export function isPartial(summary: Known, slot: number): boolean {
  const partial = summary.partial[slot] ?? 0;
  return partial > 0 && partial >= (summary.covered[slot] ?? 0) / 2;
}

/** Spans `[from, to)` of slots without data. */
export function gaps(range: Summary["range"], covered: readonly number[]): [number, number][] {
  const spans: [number, number][] = [];
  let start = -1;
  for (let i = 0; i <= covered.length; i++) {
    const gap = i < covered.length && (covered[i] ?? 0) <= 0;
    if (gap && start < 0) start = i;
    if (!gap && start >= 0) {
      spans.push([range.from + start * range.step, range.from + i * range.step]);
      start = -1;
    }
  }
  return spans;
}

/** Seconds of the range in which the container ran (`lived`), and how many of them have data (`known`). */
export function knownTime(container: Pick<ContainerItem, "first_seen" | "last_seen">, { range, covered }: Pick<Summary, "range" | "covered">): { lived: number; known: number } {
  let lived = 0;
  let known = 0;
  covered.forEach((share, i) => {
    const start = range.from + i * range.step;
    const overlap = Math.min(start + range.step, container.last_seen) - Math.max(start, container.first_seen);
    if (overlap <= 0) return;
    lived += overlap;
    known += Math.min(overlap, range.step * share);
  });
  return { lived, known };
}

/** Converts bytes per slot to bytes per second of the covered time. */
export function perSecond(values: Series, range: Summary["range"], covered: readonly number[]): Values {
  return values.map((value, i) => {
    const known = range.step * knownPart(covered, i);
    return value === null || known <= 0 ? null : value / known;
  });
}

/**
 * Mean of the known values from slot `from` on, without those that `skip` accepts, each with the `weight` of its slot:
 * a slot of an hour may be known for a minute only. Null if there are none.
 */
export function mean(values: Series, from = 0, skip: (slot: number) => boolean = () => false, weight: (slot: number) => number = () => 1): number | null {
  let sum = 0;
  let known = 0;
  for (let i = Math.max(0, from); i < values.length; i++) {
    if (skip(i)) continue;
    const value = values[i];
    if (value !== null && value !== undefined) {
      sum += value * weight(i);
      known += weight(i);
    }
  }
  return known === 0 ? null : sum / known;
}

/** The known part of a slot, from 0 to 1. */
export const knownPart = (covered: readonly number[], slot: number): number => Math.min(1, covered[slot] ?? 0);

type Known = Pick<Summary, "covered" | "partial">;

/** Means of series over a range: of the known time, without slots that were observed in part. */
export const averageOf =
  (known: Known) =>
  (values: Series): number | null =>
    mean(values, 0, (slot) => isPartial(known, slot), (slot) => knownPart(known.covered, slot));

/** The figures of one instant, or those of a range. */
export interface Focus extends Known {
  /** The slot of the instant, or -1. */
  slot: number;
  /** No instant is chosen: figures are means and maxima of the range. */
  isRange: boolean;
}

/** A series at the instant; of a range its mean. If all slots were observed in part, they are all there is. */
export function figureAt(focus: Focus, values: Series): number | null {
  if (!focus.isRange) return focus.slot < 0 ? null : (values[focus.slot] ?? null);
  return averageOf(focus)(values) ?? averageOf({ covered: focus.covered, partial: [] })(values);
}

/** The same as text: `mean 45 %, max 213 %` of a range. `known` is the mean, if it is not that of the slots. */
export function figureText(focus: Focus, values: Series, format: (value: number | null) => string, known?: number | null): string {
  const now = format(focus.isRange && known !== undefined ? known : figureAt(focus, values));
  const most = format(peak(values));
  // A series that does not change has one value.
  return !focus.isRange || now === most ? now : `mean ${now}, max ${most}`;
}

/**
 * CPU time in the slot at `at` of the range `asked`, in percent of a core over the known part of the slot: by what is
 * `covered` of `range`, if that has this slot. Null if nothing is known.
 */
export function shareOfSlot(ns: number, asked: Summary["range"], range: Summary["range"], covered: readonly number[], at: number): number | null {
  const slot = asked.step === range.step ? slotOf(range, at) : -1;
  const known = asked.step * (slot < 0 ? 1 : knownPart(covered, slot));
  return known > 0 ? ns / 1e7 / known : null;
}

/** Sum of series of the same length, slot by slot. Null where all of them are. */
export function sum(series: readonly Series[]): Values {
  return (series[0] ?? []).map((_, i) =>
    series.reduce<number | null>((total, values) => {
      const value = values[i] ?? null;
      return value === null ? total : (total ?? 0) + value;
    }, null),
  );
}

/** Sum of the known values. */
export function total(values: Series): number {
  return values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}

/** Highest known value. Null if there are none. */
export function peak(values: Series): number | null {
  let highest: number | null = null;
  for (const value of values) if (value !== null && (highest === null || value > highest)) highest = value;
  return highest;
}

/** Applies `change` to every series of `summary`. */
function mapSeries(summary: Summary, change: (values: Series) => Values): Summary {
  const { cpu, time, memory, files, network, block, pressure } = summary;
  const each = <T extends { values: Values }>(items: T[]): T[] =>
    items.map((item) => ({ ...item, values: change(item.values) }));
  return {
    ...summary,
    covered: change(summary.covered).map((share) => share ?? 0),
    partial: change(summary.partial).map((share) => share ?? 0),
    cpu: {
      total: change(cpu.total),
      user: change(cpu.user),
      system: change(cpu.system),
      throttled: change(cpu.throttled),
      limit: change(cpu.limit),
      processes: each(cpu.processes),
      cores: each(cpu.cores),
    },
    time: { ...time, states: each(time.states) },
    memory: {
      current: change(memory.current),
      file: change(memory.file),
      anon: change(memory.anon),
      swap: change(memory.swap),
      limit: change(memory.limit),
      measure: memory.measure,
      processes: each(memory.processes),
      shared: change(memory.shared),
      at_one_time: change(memory.at_one_time),
    },
    files: { ...files, in: change(files.in), out: change(files.out), opens: change(files.opens) },
    network: { ...network, in: change(network.in), out: change(network.out), connects: change(network.connects), failures: change(network.failures) },
    block: { in: change(block.in), out: change(block.out) },
    tasks: change(summary.tasks),
    pressure: { cpu: change(pressure.cpu), memory: change(pressure.memory), io: change(pressure.io) },
  };
}

/** Cuts off the slots at the end that have not arrived yet. */
export function trim(summary: Summary): Summary {
  const { range } = summary;
  const slots = lastCovered(summary.covered) + 1;
  if (slots === range.slots || slots === 0) return summary;
  return {
    ...mapSeries(summary, (values) => values.slice(0, slots)),
    range: { ...range, slots, to: range.from + slots * range.step },
  };
}

/** The piece does not follow the summary without a hole. The whole summary has to be fetched again. */
export class HoleError extends Error {}

/** How to join the series of two summaries. */
interface Joiner {
  range: Summary["range"];
  /** Whether no slot of the piece was there before. */
  fresh: boolean;
  join(old: Series, add: Series): Values;
  joinBy<T extends { values: Values }>(old: T[], add: T[], key: (item: T) => string | number): T[];
  joinNames<T extends NameSeries>(old: T[], add: T[]): T[];
}

/** The processes of one name. */
interface NameSeries {
  process?: string | null;
  name: string;
  count: number;
  values: Values;
}

/** Names of a stack that have a series of their own, as in a whole summary. */
const MAX_NAMES = 12;

function joiner(base: Summary, piece: Summary, maxSlots: number): Joiner {
  const { step } = base.range;
  if (piece.range.step !== step) throw new HoleError("the piece has slots of another length");
  const offset = Math.round((piece.range.from - base.range.from) / step);
  if (offset < 0 || offset > base.range.slots) throw new HoleError("the piece does not follow the summary");
  const slots = Math.max(base.range.slots, offset + piece.range.slots);
  const drop = Math.max(0, slots - maxSlots);

  // Copies of whole parts: the series have thousands of slots, and this is done for each of them.
  const part = (values: Series, from: number, to: number): Values => {
    const found = values.slice(from, to);
    while (found.length < to - from) found.push(null);
    return found;
  };
  const end = offset + piece.range.slots;
  const join = (old: Series, add: Series): Values => {
    const joined = part(old, Math.min(drop, offset), offset).concat(part(add, 0, piece.range.slots), part(old, end, Math.max(end, base.range.slots)));
    return drop > offset ? joined.slice(drop - offset) : joined;
  };
  // A series that is missing on one side was idle there, except in gaps.
  const idle = (covered: readonly number[]): Values => covered.map((share) => (share > 0 ? 0 : null));
  const joinBy = <T extends { values: Values }>(old: T[], add: T[], key: (item: T) => string | number): T[] => {
    const added = new Map(add.map((item) => [key(item), item]));
    const joined = old.map((item) => {
      const more = added.get(key(item));
      added.delete(key(item));
      return { ...item, values: join(item.values, more?.values ?? idle(piece.covered)) };
    });
    for (const item of added.values()) joined.push({ ...item, values: join(idle(base.covered), item.values) });
    return joined.filter((item) => item.values.some((value) => value !== null && value > 0));
  };
  // A piece has more names than a summary. Those that the stack does not show belong to `(other)`,
  // so that a stack that grew live looks like one that was loaded.
  const joinNames = <T extends NameSeries>(old: T[], add: T[]): T[] => {
    const shown = new Set(old.map((item) => item.name).filter((name) => name !== OTHER));
    for (const item of add) if (item.name !== OTHER && shown.size < MAX_NAMES) shown.add(item.name);
    const kept = add.filter((item) => shown.has(item.name));
    const others = add.filter((item) => !shown.has(item.name));
    const [first] = others;
    if (first !== undefined) {
      const count = others.reduce((all, item) => all + item.count, 0);
      kept.push({ ...first, process: null, name: OTHER, count, values: sum(others.map((item) => item.values)) });
    }
    const added = new Map(kept.map((item) => [item.name, item]));
    const known = old.map((item): T => {
      const more = added.get(item.name);
      if (more === undefined) return item;
      const isSame = item.process === more.process;
      const together = isSame ? Math.max(item.count, more.count) : Math.max(item.count, more.count, 2);
      return { ...item, process: isSame ? (item.process ?? null) : null, count: together };
    });
    return joinBy(known, kept, (item) => item.name).sort((a, b) => Number(a.name === OTHER) - Number(b.name === OTHER));
  };
  const range = { ...base.range, from: base.range.from + drop * step, to: base.range.from + slots * step, slots: slots - drop };
  return { range, fresh: piece.range.from >= base.range.to, join, joinBy, joinNames };
}

/**
 * Appends the slots of `piece` to `base`. A slot that both have is taken from
 * `piece`. The oldest slots are dropped if there are more than `maxSlots`.
 *
 * Series are exact. Tables add what is new in `piece`, but still contain the
 * slots that were replaced or dropped, until the page fetches the next whole
 * summary some seconds later.
 */
export function append(base: Summary, piece: Summary, maxSlots: number): Summary {
  const { range, fresh, join, joinBy, joinNames } = joiner(base, piece, maxSlots);
  const core = (item: CoreSeries) => item.core;

  return {
    container: piece.container,
    range,
    covered: join(base.covered, piece.covered).map((share) => share ?? 0),
    partial: join(base.partial, piece.partial).map((share) => share ?? 0),
    cpu: {
      total: join(base.cpu.total, piece.cpu.total),
      user: join(base.cpu.user, piece.cpu.user),
      system: join(base.cpu.system, piece.cpu.system),
      throttled: join(base.cpu.throttled, piece.cpu.throttled),
      limit: join(base.cpu.limit, piece.cpu.limit),
      processes: joinNames(base.cpu.processes, piece.cpu.processes),
      cores: joinBy(base.cpu.cores, piece.cpu.cores, core).sort((a, b) => a.core - b.core),
    },
    time: {
      waits_known: base.time.waits_known || piece.time.waits_known,
      states: joinBy(base.time.states, piece.time.states, (item) => item.state),
    },
    memory: {
      current: join(base.memory.current, piece.memory.current),
      file: join(base.memory.file, piece.memory.file),
      anon: join(base.memory.anon, piece.memory.anon),
      swap: join(base.memory.swap, piece.memory.swap),
      limit: join(base.memory.limit, piece.memory.limit),
      measure: piece.memory.processes.length > 0 ? piece.memory.measure : base.memory.measure,
      processes: joinNames(base.memory.processes, piece.memory.processes),
      shared: join(base.memory.shared, piece.memory.shared),
      at_one_time: join(base.memory.at_one_time, piece.memory.at_one_time),
    },
    files: {
      in: join(base.files.in, piece.files.in),
      out: join(base.files.out, piece.files.out),
      opens: join(base.files.opens, piece.files.opens),
      rows: fresh ? addFiles(base.files.rows, piece.files.rows) : base.files.rows,
      total_rows: Math.max(base.files.total_rows, piece.files.total_rows),
    },
    network: {
      in: join(base.network.in, piece.network.in),
      out: join(base.network.out, piece.network.out),
      connects: join(base.network.connects, piece.network.connects),
      failures: join(base.network.failures, piece.network.failures),
      peers: fresh ? addPeers(base.network.peers, piece.network.peers) : base.network.peers,
      total_peers: Math.max(base.network.total_peers, piece.network.total_peers),
      rows: fresh ? addConnections(base.network.rows, piece.network.rows) : base.network.rows,
      total_rows: Math.max(base.network.total_rows, piece.network.total_rows),
    },
    processes: fresh ? addProcesses(base.processes, piece.processes) : base.processes,
    total_events: Math.max(base.total_events, piece.total_events),
    event_counts: fresh ? addCounts(base.event_counts, piece.event_counts) : base.event_counts,
    failed: base.failed,
    total_failed: Math.max(base.total_failed, piece.total_failed),
    failed_unknown: Math.max(base.failed_unknown, piece.failed_unknown),
    total_processes: Math.max(base.total_processes, piece.total_processes),
    distinct_processes: Math.max(base.distinct_processes, piece.distinct_processes),
    distinct_at_least: base.distinct_at_least || piece.distinct_at_least,
    block: { in: join(base.block.in, piece.block.in), out: join(base.block.out, piece.block.out) },
    tasks: join(base.tasks, piece.tasks),
    pressure: {
      cpu: join(base.pressure.cpu, piece.pressure.cpu),
      memory: join(base.pressure.memory, piece.pressure.memory),
      io: join(base.pressure.io, piece.pressure.io),
    },
    totals: base.totals,
    events: unite(base.events, piece.events, (event) => `${event.at} ${event.kind} ${event.process ?? ""} ${event.detail}`),
    losses: base.losses,
    accounting: base.accounting,
  };
}

function unite<T>(old: T[], add: T[], key: (item: T) => string): T[] {
  const known = new Set(old.map(key));
  const added = add.filter((item) => !known.has(key(item)));
  return added.length === 0 ? old : [...old, ...added];
}

export function addCounts(old: Record<string, number>, add: Record<string, number>): Record<string, number> {
  const counts = { ...old };
  for (const [key, count] of Object.entries(add)) counts[key] = (counts[key] ?? 0) + count;
  return counts;
}

/** Rows of both, those with the same key combined by `merge`. */
function addRows<T>(old: T[], add: T[], key: (row: T) => string, merge: (a: T, b: T) => T): T[] {
  if (add.length === 0) return old;
  const rows = new Map(old.map((row) => [key(row), row]));
  for (const row of add) {
    const known = rows.get(key(row));
    rows.set(key(row), known === undefined ? row : merge(known, row));
  }
  return [...rows.values()];
}

const union = (a: string[], b: string[]): string[] => (b.every((key) => a.includes(key)) ? a : [...new Set([...a, ...b])]);

function addFiles(old: FileInfo[], add: FileInfo[]): FileInfo[] {
  return addRows(old, add, (row) => `${row.kind} ${row.path}`, (a, b) => ({
    ...a,
    bytes_in: a.bytes_in + b.bytes_in,
    bytes_out: a.bytes_out + b.bytes_out,
    ops_in: a.ops_in + b.ops_in,
    ops_out: a.ops_out + b.ops_out,
    opens: a.opens + b.opens,
    mapped_pages: a.mapped_pages + b.mapped_pages,
    waited_ns: a.waited_ns + b.waited_ns,
    processes: union(a.processes, b.processes),
  }));
}

function addConnections(old: ConnectionInfo[], add: ConnectionInfo[]): ConnectionInfo[] {
  return addRows(old, add, (row) => `${row.protocol} ${row.role} ${row.local} ${row.peer}`, (a, b) => ({
    ...a,
    bytes_in: a.bytes_in + b.bytes_in,
    bytes_out: a.bytes_out + b.bytes_out,
    ops_in: a.ops_in + b.ops_in,
    ops_out: a.ops_out + b.ops_out,
    connects: a.connects + b.connects,
    failures: a.failures + b.failures,
    waited_ns: a.waited_ns + b.waited_ns,
    processes: union(a.processes, b.processes),
  }));
}

/** The number of processes of a folded row: at least the greater, as both may have the same ones. */
function moreProcesses(a: ProcessInfo, b: ProcessInfo): Pick<ProcessInfo, "count" | "count_at_least"> {
  return { count: Math.max(a.count, b.count), count_at_least: a.pid === 0 || a.count_at_least || b.count_at_least };
}

/** The number of connections is at least the larger one: the same ones may be in both. */
function addPeers(old: PeerInfo[], add: PeerInfo[]): PeerInfo[] {
  return addRows(old, add, (row) => `${row.protocol} ${row.role} ${row.port ?? ""} ${row.remote}`, (a, b) => ({
    ...a,
    connections: Math.max(a.connections, b.connections),
    bytes_in: a.bytes_in + b.bytes_in,
    bytes_out: a.bytes_out + b.bytes_out,
    ops_in: a.ops_in + b.ops_in,
    ops_out: a.ops_out + b.ops_out,
    connects: a.connects + b.connects,
    failures: a.failures + b.failures,
    waited_ns: a.waited_ns + b.waited_ns,
  }));
}

function addProcesses(old: ProcessInfo[], add: ProcessInfo[]): ProcessInfo[] {
  return addRows(old, add, (row) => row.key, (a, b) => ({
    ...b,
    cpu_ns: a.cpu_ns + b.cpu_ns,
    waits: addCounts(a.waits, b.waits),
    waits_known: a.waits_known || b.waits_known,
    rss_max: peak([a.rss_max ?? null, b.rss_max ?? null]),
    private_max: peak([a.private_max ?? null, b.private_max ?? null]),
    vm_max: peak([a.vm_max ?? null, b.vm_max ?? null]),
    swap_max: peak([a.swap_max ?? null, b.swap_max ?? null]),
    ...moreProcesses(a, b),
    bytes_in: a.bytes_in + b.bytes_in,
    bytes_out: a.bytes_out + b.bytes_out,
    received: a.received + b.received,
    sent: a.sent + b.sent,
  }));
}

/** Number of processes alive at the end of a slot, as text. A lower bound if the rows are cut or folded. */
export function alive(of: Summary | null, slot: number): string {
  if (of === null || slot < 0 || (of.covered[slot] ?? 0) <= 0) return UNKNOWN;
  const end = of.range.from + (slot + 1) * of.range.step;
  const pids = new Set<number>();
  for (const row of of.processes) if (row.pid !== 0 && row.start < end && (row.end == null || row.end >= end)) pids.add(row.pid);
  const isCut = of.total_processes > of.processes.length || of.processes.some((row) => row.pid === 0);
  return `${isCut ? "≥ " : ""}${count(pids.size)}`;
}
