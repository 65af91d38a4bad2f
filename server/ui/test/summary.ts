// A summary for tests of what the page does with one: every series of the same length.

import type { ProcessInfo, Summary } from "../src/lib/api/types";

export function processRow(part: Partial<ProcessInfo> = {}): ProcessInfo {
  return {
    key: `${part.pid ?? 1}-${part.start ?? 0}-${part.exec ?? 0}`,
    pid: 1,
    start: 0,
    exec: 0,
    container_pid: 0,
    parent: 0,
    uid: 0,
    name: "sh",
    exe: "",
    args: [],
    end: null,
    exit: null,
    count: 1,
    cpu_ns: 0,
    rss_max: 0,
    vm_max: 0,
    swap_max: 0,
    bytes_in: 0,
    bytes_out: 0,
    received: 0,
    sent: 0,
    ...part,
  };
}

/** A summary of `values.length` seconds from `from` on, with `values` as its CPU; null is a gap. */
export function summary(from: number, values: (number | null)[], part: Partial<Summary> = {}): Summary {
  const known = values.map((value) => (value === null ? null : 0));
  return {
    container: {
      id: "0123456789ab",
      name: "web",
      image: "web:1",
      runtime: "docker",
      host: "node1",
      hooks: "syscall",
      labels: {},
      recordings: [],
      cores: 4,
      first_seen: from,
      last_seen: from + values.length,
      state: "running",
      oom_killed: false,
      cpu_ns: 0,
      cpu_now: 0,
      memory_now: 0,
      memory_peak: 0,
      bytes_in: 0,
      bytes_out: 0,
      spark: [],
    },
    range: { from, to: from + values.length, step: 1, resolution: "second", slots: values.length },
    covered: values.map((value) => (value === null ? 0 : 1)),
    cpu: {
      total: values,
      user: values,
      system: known,
      throttled: known,
      limit: known.map(() => null),
      processes: [{ process: "1-0-0", name: "sh", values }],
      cores: [{ core: 0, values }],
    },
    memory: { current: known, file: known, anon: known, swap: known, limit: known.map(() => null), processes: [] },
    files: { in: known, out: known, opens: known, rows: [], total_rows: 0 },
    network: { in: known, out: known, rows: [], total_rows: 0 },
    processes: [processRow()],
    total_processes: 1,
    block: { in: known, out: known },
    tasks: known,
    pressure: { cpu: known, memory: known, io: known },
    totals: {},
    events: [],
    total_events: 0,
    losses: [],
    accounting: { process_cpu_ns: 0, cgroup_cpu_ns: null, difference_percent: null, hooks: "syscall", lost: 0 },
    ...part,
  };
}
