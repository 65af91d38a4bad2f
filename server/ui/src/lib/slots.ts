// Slots: the equal pieces of time that a summary's series are cut into, and how
// the newest of them, which come live, are put behind those that are there.

import type { ConnectionInfo, ContainerItem, CoreSeries, FileInfo, ProcessInfo, Summary } from "./api/types";
import type { Series } from "./units";

type Values = (number | null)[];

/** Start of each slot, and behind them the end of the last, where steps are drawn to. */
export function slotTimes(range: Summary["range"]): number[] {
  return Array.from({ length: range.slots + 1 }, (_, i) => range.from + i * range.step);
}

/** Which slot holds `at`: -1 when none does. */
export function slotOf(range: Summary["range"], at: number): number {
  const slot = Math.floor((at - range.from) / range.step + 1e-6);
  return slot >= 0 && slot < range.slots ? slot : -1;
}

/** The last slot of which something is known: -1 when there is none. */
export function lastCovered(covered: readonly number[]): number {
  for (let i = covered.length - 1; i >= 0; i--) if ((covered[i] ?? 0) > 0) return i;
  return -1;
}

/** Spans `[from, to)` of slots of which nothing is known. */
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

/** Seconds of the range in which the container lived, and how many of them are known. */
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

/** Bytes of a slot as bytes per second of the time that is known. */
export function perSecond(values: Series, range: Summary["range"], covered: readonly number[]): Values {
  return values.map((value, i) => {
    const known = range.step * Math.min(1, covered[i] ?? 0);
    return value === null || known <= 0 ? null : value / known;
  });
}

/** Mean of what is known from slot `from` on; null when nothing is. */
export function mean(values: Series, from = 0): number | null {
  let sum = 0;
  let known = 0;
  for (let i = Math.max(0, from); i < values.length; i++) {
    const value = values[i];
    if (value !== null && value !== undefined) {
      sum += value;
      known += 1;
    }
  }
  return known === 0 ? null : sum / known;
}

/** Sum by slot of series of the same length; unknown where none is known. */
export function sum(series: readonly Series[]): Values {
  return (series[0] ?? []).map((_, i) =>
    series.reduce<number | null>((total, values) => {
      const value = values[i] ?? null;
      return value === null ? total : (total ?? 0) + value;
    }, null),
  );
}

/** Highest of what is known; null when nothing is. */
export function peak(values: Series): number | null {
  let highest: number | null = null;
  for (const value of values) if (value !== null && (highest === null || value > highest)) highest = value;
  return highest;
}

/** `summary` with every series put through `change`. */
function mapSeries(summary: Summary, change: (values: Series) => Values): Summary {
  const { cpu, memory, files, network, block, pressure } = summary;
  const each = <T extends { values: Values }>(items: T[]): T[] =>
    items.map((item) => ({ ...item, values: change(item.values) }));
  return {
    ...summary,
    covered: change(summary.covered).map((share) => share ?? 0),
    cpu: {
      total: change(cpu.total),
      user: change(cpu.user),
      system: change(cpu.system),
      throttled: change(cpu.throttled),
      limit: change(cpu.limit),
      processes: each(cpu.processes),
      cores: each(cpu.cores),
    },
    memory: {
      current: change(memory.current),
      file: change(memory.file),
      anon: change(memory.anon),
      swap: change(memory.swap),
      limit: change(memory.limit),
      processes: each(memory.processes),
    },
    files: { ...files, in: change(files.in), out: change(files.out), opens: change(files.opens) },
    network: { ...network, in: change(network.in), out: change(network.out) },
    block: { in: change(block.in), out: change(block.out) },
    tasks: change(summary.tasks),
    pressure: { cpu: change(pressure.cpu), memory: change(pressure.memory), io: change(pressure.io) },
  };
}

/** `summary` without the slots at its end that have not arrived yet. */
export function trim(summary: Summary): Summary {
  const { range } = summary;
  const slots = lastCovered(summary.covered) + 1;
  if (slots === range.slots || slots === 0) return summary;
  return {
    ...mapSeries(summary, (values) => values.slice(0, slots)),
    range: { ...range, slots, to: range.from + slots * range.step },
  };
}

/** A hole lies between what is there and the piece: the summary has to be asked for again. */
export class HoleError extends Error {}

/**
 * `base` with the slots of `piece` behind it, and with slots that both have
 * taken from `piece`; the oldest go when there are more than `keep`.
 *
 * Series are exact. The tables add up what is new in `piece`; slots that are
 * replaced or dropped stay in their sums until the next whole summary, which the
 * page asks for every few seconds.
 */
export function append(base: Summary, piece: Summary, keep: number): Summary {
  const { step } = base.range;
  if (piece.range.step !== step) throw new HoleError("the piece has slots of another length");
  const offset = Math.round((piece.range.from - base.range.from) / step);
  if (offset < 0 || offset > base.range.slots) throw new HoleError("the piece does not follow");
  const slots = Math.max(base.range.slots, offset + piece.range.slots);
  const drop = Math.max(0, slots - keep);
  const fresh = piece.range.from >= base.range.to;

  const join = (old: Series, add: Series): Values => {
    const joined: Values = new Array<number | null>(slots).fill(null);
    for (let i = 0; i < base.range.slots; i++) joined[i] = old[i] ?? null;
    for (let i = 0; i < piece.range.slots; i++) joined[offset + i] = add[i] ?? null;
    return joined.slice(drop);
  };
  const covered = join(base.covered, piece.covered).map((value) => value ?? 0);
  // A series that one of both lacks was idle there, where that time is known at all.
  const idle = (known: readonly number[]): Values => known.map((share) => (share > 0 ? 0 : null));
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
  const process = (item: { process: string }) => item.process;
  const core = (item: CoreSeries) => item.core;

  return {
    container: piece.container,
    range: {
      ...base.range,
      from: base.range.from + drop * step,
      to: base.range.from + slots * step,
      slots: slots - drop,
    },
    covered,
    cpu: {
      total: join(base.cpu.total, piece.cpu.total),
      user: join(base.cpu.user, piece.cpu.user),
      system: join(base.cpu.system, piece.cpu.system),
      throttled: join(base.cpu.throttled, piece.cpu.throttled),
      limit: join(base.cpu.limit, piece.cpu.limit),
      processes: joinBy(base.cpu.processes, piece.cpu.processes, process),
      cores: joinBy(base.cpu.cores, piece.cpu.cores, core).sort((a, b) => a.core - b.core),
    },
    memory: {
      current: join(base.memory.current, piece.memory.current),
      file: join(base.memory.file, piece.memory.file),
      anon: join(base.memory.anon, piece.memory.anon),
      swap: join(base.memory.swap, piece.memory.swap),
      limit: join(base.memory.limit, piece.memory.limit),
      processes: joinBy(base.memory.processes, piece.memory.processes, process),
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
      rows: fresh ? addPeers(base.network.rows, piece.network.rows) : base.network.rows,
      total_rows: Math.max(base.network.total_rows, piece.network.total_rows),
    },
    processes: fresh ? addProcesses(base.processes, piece.processes) : base.processes,
    total_events: Math.max(base.total_events, piece.total_events),
    total_processes: Math.max(base.total_processes, piece.total_processes),
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

/** Rows of both, those with the same key put together by `merge`. */
function addRows<T>(old: T[], add: T[], key: (row: T) => string, merge: (a: T, b: T) => T): T[] {
  if (add.length === 0) return old;
  const rows = new Map(old.map((row) => [key(row), row]));
  for (const row of add) {
    const known = rows.get(key(row));
    rows.set(key(row), known === undefined ? row : merge(known, row));
  }
  return [...rows.values()];
}

const both = (a: string[], b: string[]): string[] => (b.every((key) => a.includes(key)) ? a : [...new Set([...a, ...b])]);

function addFiles(old: FileInfo[], add: FileInfo[]): FileInfo[] {
  return addRows(old, add, (row) => `${row.kind} ${row.path}`, (a, b) => ({
    ...a,
    bytes_in: a.bytes_in + b.bytes_in,
    bytes_out: a.bytes_out + b.bytes_out,
    ops_in: a.ops_in + b.ops_in,
    ops_out: a.ops_out + b.ops_out,
    opens: a.opens + b.opens,
    processes: both(a.processes, b.processes),
  }));
}

function addPeers(old: ConnectionInfo[], add: ConnectionInfo[]): ConnectionInfo[] {
  return addRows(old, add, (row) => `${row.protocol} ${row.role} ${row.local} ${row.peer}`, (a, b) => ({
    ...a,
    bytes_in: a.bytes_in + b.bytes_in,
    bytes_out: a.bytes_out + b.bytes_out,
    ops_in: a.ops_in + b.ops_in,
    ops_out: a.ops_out + b.ops_out,
    connects: a.connects + b.connects,
    failures: a.failures + b.failures,
    processes: both(a.processes, b.processes),
  }));
}

function addProcesses(old: ProcessInfo[], add: ProcessInfo[]): ProcessInfo[] {
  return addRows(old, add, (row) => row.key, (a, b) => ({
    ...b,
    cpu_ns: a.cpu_ns + b.cpu_ns,
    rss_max: Math.max(a.rss_max, b.rss_max),
    vm_max: Math.max(a.vm_max, b.vm_max),
    swap_max: Math.max(a.swap_max, b.swap_max),
    bytes_in: a.bytes_in + b.bytes_in,
    bytes_out: a.bytes_out + b.bytes_out,
    received: a.received + b.received,
    sent: a.sent + b.sent,
  }));
}
