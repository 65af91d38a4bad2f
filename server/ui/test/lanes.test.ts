import { describe as group, expect, test } from "vitest";
import type { Lanes } from "../src/lib/api/types";
import { clusters, laneEvents } from "../src/lib/lanes/events";
import { firstCell, fullHeight, GROUP_ROW, HEAD, MAX_HEIGHT, ROW, rowAt, rowTops, scrollTo, sharesIn, ticks, timeAt, visibleRows, xOf, type Layout } from "../src/lib/lanes/layout";
import { expectedHeight } from "../src/lib/lanes/expected";
import { laneRows, stripOf } from "../src/lib/lanes/rows";
import { laneSet } from "../src/lib/lanes/set";
import { describe } from "../src/lib/lanes/text";
import { processRow, summary } from "./summary";

interface Process {
  name: string;
  parent?: number;
  start: number | null;
  end?: number | null;
  exit?: number | null;
  count?: number;
  /** Slot, core and µs. */
  cells?: [number, number, number][];
}

/** Ten seconds from 1000 on, with a gap in second 5. */
function answer(processes: Process[]): Lanes {
  const names = [...new Set(processes.map((each) => each.name))];
  const cells = processes.flatMap((each) => each.cells ?? []);
  return {
    range: { from: 1000, to: 1010, step: 1, resolution: "second", slots: 10 },
    covered: [1, 1, 1, 1, 1, 0, 1, 1, 1, 0.5],
    names,
    lanes: {
      key: processes.map((each, i) => (each.start === null ? `0-0-0-${each.name}` : `${i + 1}-${each.start}000000000-0`)),
      names: processes.map((each) => [names.indexOf(each.name)]),
      command: processes.map((each) => `${each.name} --all`),
      pid: processes.map((_, i) => i + 1),
      parent: processes.map((each) => each.parent ?? null),
      start: processes.map((each) => each.start),
      end: processes.map((each) => each.end ?? null),
      exit: processes.map((each) => each.exit ?? null),
      count: processes.map((each) => each.count ?? 1),
      failed: processes.map((each) => ((each.exit ?? 0) === 0 ? 0 : 1)),
      oom_killed: processes.map(() => 0),
      cpu_ns: processes.map((each) => (each.cells ?? []).reduce((sum, cell) => sum + cell[2] * 1000, 0)),
      rss_max: processes.map(() => null),
      cells: processes.map((each) => each.cells?.length ?? 0),
    },
    cells: { slot: cells.map((cell) => cell[0]), core: cells.map((cell) => cell[1]), cpu_us: cells.map((cell) => cell[2]) },
    total: processes.length,
    total_cpu_ns: 0,
    folded: 0,
    folded_before: 0,
  };
}

const compilers = (n: number, parent: number): Process[] =>
  Array.from({ length: n }, (_, i) => ({ name: "cc1", parent, start: 1001 + i, end: 1001.5 + i, exit: i === 2 ? -9 : 0, cells: [[1 + i, i % 2, 400_000]] }));

/** make with five compilers, and a server. */
const build = laneSet(answer([{ name: "make", start: 1000, cells: [[0, 0, 1000]] }, { name: "nginx", start: 1000.5, end: 1008, exit: 0 }, ...compilers(5, 0)]));

group("rows", () => {
  test("children are under their parents, siblings with the same name share a row", () => {
    const rows = laneRows(build, new Map(), true);
    // A process that failed does not disappear in a fold.
    expect(rows.map((row) => [row.label, row.depth, row.count, row.failed])).toEqual([["make", 0, 1, 0], ["cc1", 1, 4, 0], ["cc1", 1, 1, 1], ["nginx", 0, 1, 0]]);
    expect([rows[1]?.start, rows[1]?.end]).toEqual([1001, 1005.5]);
    expect(rows[2]?.failedAt).toEqual([1003.5]);
    expect(rowTops(rows)).toEqual([0, ROW, ROW + GROUP_ROW, 2 * ROW + GROUP_ROW, 3 * ROW + GROUP_ROW]);
  });

  test("of many failures only the times are told", () => {
    const many = laneSet(answer([{ name: "make", start: 1000 }, ...compilers(10, 0).flatMap((each) => [{ ...each, exit: 1 }, each])]));
    const rows = laneRows(many, new Map(), true);
    expect(rows.map((row) => [row.label, row.count, row.failed])).toEqual([["make", 1, 0], ["cc1", 20, 11]]);
    expect(rows[1]?.failedAt).toHaveLength(11);
  });

  test("an opened fold shows its rows; a closed parent has the sums of all below", () => {
    const key = laneRows(build, new Map(), true)[1]?.key ?? "";
    const opened = laneRows(build, new Map([[key, true]]), true);
    expect(opened.map((row) => row.depth)).toEqual([0, 1, 2, 2, 2, 2, 1, 0]);
    const closed = laneRows(build, new Map([["1-1000000000000-0", false]]), true);
    expect(closed.map((row) => [row.label, row.below, row.failed])).toEqual([["make", 5, 1], ["nginx", 0, 0]]);
    expect(laneRows(build, new Map(), false)).toHaveLength(7);
  });

  test("fewer than four siblings are not folded", () => {
    const few = laneSet(answer([{ name: "make", start: 1000 }, ...compilers(3, 0)]));
    expect(laneRows(few, new Map(), true)).toHaveLength(4);
  });

  test("the strip of a fold is the sum of its processes, by slot and core", () => {
    const [make, fold] = laneRows(build, new Map(), true);
    if (make === undefined || fold === undefined) throw new Error("no rows");
    const strip = stripOf(build, fold);
    expect([strip.slot, strip.core, strip.us]).toEqual([[1, 2, 4, 5], [0, 1, 1, 0], [400_000, 400_000, 400_000, 400_000]]);
    const own = stripOf(build, make);
    expect([own.first, own.last]).toEqual([0, 1]);
    expect(firstCell(strip, 3)).toBe(2);
    expect(firstCell(strip, 9)).toBe(4);
  });
});

group("use", () => {
  const set = laneSet(answer([{ name: "short", start: 1001.25, end: 1001.75, cells: [[1, 2, 400_000]] }, { name: "long", start: 900, cells: [[9, 0, 250_000], [9, 1, 500_000]] }]));
  const [long, short] = laneRows(set, new Map(), true);
  if (short === undefined || long === undefined) throw new Error("no rows");

  test("is a share of the time that the process lived in the slot", () => {
    expect(sharesIn(set, short, stripOf(set, short), 1)).toEqual([{ core: 2, percent: 80 }]);
  });

  test("of a slot that is known in part is a share of the known part", () => {
    expect(sharesIn(set, long, stripOf(set, long), 9)).toEqual([{ core: 0, percent: 50 }, { core: 1, percent: 100 }]);
    expect(fullHeight(set, long, stripOf(set, long))).toBe(150);
  });

  test("in a gap is unknown, not zero; without cells it is zero", () => {
    expect(sharesIn(set, long, stripOf(set, long), 5)).toBeNull();
    expect(sharesIn(set, long, stripOf(set, long), 4)).toEqual([]);
    const lines = (at: number): string => describe(set, long, stripOf(set, long), at, true).at(-1) ?? "";
    expect(lines(1005.5)).toBe("00:16:45: unknown, no data was received");
    expect(lines(1004.5)).toBe("00:16:44, 1 s: idle");
    expect(lines(1009.2)).toBe("00:16:49, 1 s: 150 % (core 0 50 %, core 1 100 %)");
  });

  test("what is known by name only has no start", () => {
    const folded = laneSet(answer([{ name: "cc1", start: null, count: 812 }]));
    const [row] = laneRows(folded, new Map(), true);
    if (row === undefined) throw new Error("no row");
    expect(describe(folded, row, stripOf(folded, row), null, true)).toContain("start and end unknown: such processes were folded by name to bound the data");
  });
});

group("the canvas", () => {
  const layout: Layout = { width: 1000, height: HEAD + 10 * ROW, left: 200, right: 0, scroll: 45, shown: [1000, 1010] };

  test("time and place convert into each other", () => {
    expect(xOf(layout, 1005)).toBe(600);
    expect(timeAt(layout, 600)).toBe(1005);
    expect(timeAt(layout, 199)).toBeNull();
  });

  test("a point is in the row that is drawn there", () => {
    const tops = (rows: number): number[] => Array.from({ length: rows + 1 }, (_, i) => i * ROW);
    expect(rowAt(layout, HEAD - 1, tops(100))).toBeNull();
    expect(rowAt(layout, HEAD, tops(100))).toBe(2);
    expect(rowAt(layout, HEAD + 9, tops(100))).toBe(3);
    expect(rowAt(layout, HEAD + 9, tops(3))).toBeNull();
    expect(visibleRows(layout, tops(5000))).toEqual([2, 13]);
    expect(visibleRows(layout, tops(4))).toEqual([2, 4]);
    expect(visibleRows(layout, tops(0))).toEqual([0, 0]);
  });

  test("it scrolls no further than needed", () => {
    const tops = Array.from({ length: 101 }, (_, i) => i * ROW);
    expect(scrollTo(layout, 5, tops)).toBe(45);
    expect(scrollTo(layout, 0, tops)).toBe(0);
    expect(scrollTo(layout, 99, tops)).toBe(90 * ROW);
  });

  test("ticks are round", () => {
    expect(ticks(layout)).toEqual([1000, 1002, 1004, 1006, 1008, 1010]);
    expect(ticks({ ...layout, shown: [1000, 1000.5] })[1]).toBe(1000.1);
  });
});

group("events", () => {
  const data = summary(1000, [1, 2, 3, 4, 5, 6], {
    events: [
      { at: 1000, kind: "container_start", detail: "", process: null },
      { at: 1002.5, kind: "oom_kill", detail: "", process: "1-0-0" },
      { at: 1004, kind: "container_start", detail: "", process: null },
      { at: 1003, kind: "connection_failed", detail: "10.0.0.1:5432", process: null },
    ],
  });
  data.network.failures = [0, 2, 3, null, 0, 1];
  data.cpu.throttled = [0, 0, 0.02, null, 400, 200];
  data.cpu.user = [1, 2, 3, null, 100, 100];

  test("kills, starts and restarts are told one by one, failures and throttling as spans", () => {
    const events = laneEvents(data, 1000);
    expect(events.map((event) => [event.icon, event.at, event.to])).toEqual([
      ["start", 1000, 1000],
      ["failures", 1001, 1003],
      ["oom", 1002.5, 1002.5],
      ["restart", 1004, 1004],
      ["throttled", 1004, 1006],
      ["failures", 1005, 1006],
    ]);
    expect(events.map((event) => event.text)).toContain("the kernel killed sh: out of memory");
    expect(events[1]?.text).toBe("5 connections failed");
    expect(events[4]?.text).toBe("its CPU limit held back 75 % of the CPU time that it could have used");
  });

  test("an end that only the index knows is told, and a start is told once", () => {
    const marks = [{ at: 1000.4, kind: "container_start" }, { at: 1005.5, kind: "container_end" }, { at: 2000, kind: "container_end" }];
    const events = laneEvents(data, 1000, marks).filter((event) => event.icon === "start" || event.icon === "end");
    expect(events.map((event) => [event.icon, event.at])).toEqual([["start", 1000], ["end", 1005.5]]);
  });

  test("of events that are close together the most important one gives the icon", () => {
    const joined = clusters(laneEvents(data, 1000), 2);
    expect(joined.map((cluster) => [cluster.main.icon, cluster.all.length])).toEqual([["start", 2], ["oom", 3], ["failures", 1]]);
  });
});

group("the expected height", () => {
  const compilers = Array.from({ length: 5 }, (_, i) => processRow({ pid: 10 + i, start: 1, parent: 1, name: "cc1" }));

  test("is that of the rows: siblings with the same name share one, the programs of a process too", () => {
    const rows = [processRow({ pid: 1, name: "make" }), processRow({ pid: 2, parent: 1, name: "sh" }), processRow({ pid: 2, parent: 1, exec: 1, name: "curl" }), processRow({ pid: 3, name: "cron" }), processRow({ pid: 4, name: "nginx" })];
    expect(expectedHeight([...rows, ...compilers])).toBe(HEAD + 4 * ROW + GROUP_ROW);
  });

  test("is bounded", () => {
    expect(expectedHeight([])).toBe(HEAD + 4 * ROW);
    expect(expectedHeight(Array.from({ length: 50 }, (_, i) => processRow({ pid: i, name: `p${i}` })))).toBe(MAX_HEIGHT);
  });
});
