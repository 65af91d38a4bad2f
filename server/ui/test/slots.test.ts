import { describe, expect, test } from "vitest";
import { append, gaps, HoleError, knownTime, lastCovered, mean, peak, perSecond, slotOf, slotTimes, trim } from "../src/lib/slots";
import { processRow, summary } from "./summary";

describe("slots and gaps", () => {
  const { range, covered } = summary(100, [1, null, null, 4, null]);

  test("times have one more than slots: a step is drawn to its end", () => {
    expect(slotTimes(range)).toEqual([100, 101, 102, 103, 104, 105]);
  });
  test("a moment is in the slot that begins before it", () => {
    expect(slotOf(range, 100)).toBe(0);
    expect(slotOf(range, 103.99)).toBe(3);
    expect(slotOf(range, 99.9)).toBe(-1);
    expect(slotOf(range, 105)).toBe(-1);
  });
  test("gaps are spans of slots of which nothing is known", () => {
    expect(gaps(range, covered)).toEqual([[101, 103], [104, 105]]);
    expect(gaps(range, [1, 1, 1, 1, 1])).toEqual([]);
  });
  test("what is known is a part of the time that the container lived, not of what is shown", () => {
    const seen = (first_seen: number, last_seen: number) => knownTime({ first_seen, last_seen }, { range, covered });
    expect(seen(0, 200)).toEqual({ lived: 5, known: 2 });
    expect(seen(103, 104)).toEqual({ lived: 1, known: 1 });
    expect(seen(103.5, 105)).toEqual({ lived: 1.5, known: 0.5 });
    expect(seen(0, 100)).toEqual({ lived: 0, known: 0 });
  });
  test("a rate is over the time that is known; a gap has none", () => {
    expect(perSecond([600, null, 0], { ...range, step: 60 }, [1, 0, 1])).toEqual([10, null, 0]);
    expect(perSecond([600], { ...range, step: 60 }, [0.5])).toEqual([20]);
  });
  test("mean and peak leave gaps out", () => {
    expect(mean([1, null, 3])).toBe(2);
    expect(mean([null])).toBeNull();
    expect(mean([100, 1, 3], 1)).toBe(2);
    expect(peak([null, 2, 7, null])).toBe(7);
    expect(peak([])).toBeNull();
  });
});

describe("live pieces", () => {
  test("go behind what is there, and the oldest leave", () => {
    const joined = append(summary(100, [1, 2, 3]), summary(103, [4, 5]), 4);
    expect(joined.range).toEqual({ from: 101, to: 105, step: 1, resolution: "second", slots: 4 });
    expect(joined.cpu.total).toEqual([2, 3, 4, 5]);
    expect(joined.cpu.processes).toEqual([{ process: "1-0-0", name: "sh", values: [2, 3, 4, 5] }]);
    expect(joined.covered).toEqual([1, 1, 1, 1]);
  });

  test("replace slots that both have, and do not add their tables again", () => {
    const base = summary(100, [1, 2, 3], { processes: [processRow({ cpu_ns: 10 })] });
    const joined = append(base, summary(101, [7, 8], { processes: [processRow({ cpu_ns: 99 })] }), 10);
    expect(joined.cpu.total).toEqual([1, 7, 8]);
    expect(joined.processes[0]?.cpu_ns).toBe(10);
  });

  test("leave a gap a gap", () => {
    const joined = append(summary(100, [1, null]), summary(102, [null, 4]), 10);
    expect(joined.cpu.total).toEqual([1, null, null, 4]);
    expect(joined.covered).toEqual([1, 0, 0, 1]);
  });

  test("a process that is new was idle before, and one that is gone is idle now", () => {
    const piece = summary(102, [5]);
    piece.cpu.processes = [{ process: "2-0-0", name: "sh", values: [5] }];
    const joined = append(summary(100, [1, null]), piece, 10);
    expect(joined.cpu.processes).toEqual([
      { process: "1-0-0", name: "sh", values: [1, null, 0] },
      { process: "2-0-0", name: "sh", values: [0, null, 5] },
    ]);
  });

  test("a process that left the window with its last value is dropped", () => {
    const piece = summary(101, [0]);
    piece.cpu.processes = [];
    expect(append(summary(100, [1]), piece, 1).cpu.processes).toEqual([]);
  });

  test("tables add up what is new: bytes add, memory takes the highest, the end is the newest", () => {
    const file = { path: "/a", kind: "file", bytes_in: 1, bytes_out: 2, ops_in: 3, ops_out: 4, opens: 5, processes: ["1-0-0"] };
    const base = summary(100, [1], { processes: [processRow({ cpu_ns: 5, rss_max: 9, bytes_in: 1 })] });
    base.files.rows = [file];
    const piece = summary(101, [1], { processes: [processRow({ cpu_ns: 6, rss_max: 4, bytes_in: 2, end: 101.5 })] });
    piece.files.rows = [{ ...file, processes: ["2-0-0"] }, { ...file, path: "/b" }];
    const joined = append(base, piece, 10);
    expect(joined.processes).toEqual([processRow({ cpu_ns: 11, rss_max: 9, bytes_in: 3, end: 101.5 })]);
    expect(joined.files.rows).toEqual([
      { path: "/a", kind: "file", bytes_in: 2, bytes_out: 4, ops_in: 6, ops_out: 8, opens: 10, processes: ["1-0-0", "2-0-0"] },
      { ...file, path: "/b" },
    ]);
  });

  test("an event that comes twice is one", () => {
    const event = { at: 101, kind: "oom_kill", process: null, detail: "" };
    const joined = append(summary(100, [1, 2], { events: [event] }), summary(101, [2, 3], { events: [event] }), 10);
    expect(joined.events).toEqual([event]);
  });

  test("that do not follow are a hole", () => {
    expect(() => append(summary(100, [1]), summary(105, [1]), 10)).toThrow(HoleError);
    expect(() => append(summary(100, [1]), summary(90, [1]), 10)).toThrow(HoleError);
    const other = summary(101, [1]);
    other.range.step = 60;
    expect(() => append(summary(100, [1]), other, 10)).toThrow(HoleError);
  });
});

test("slots that have not arrived yet are cut off, gaps before them are not", () => {
  const trimmed = trim(summary(100, [1, null, 3, null, null]));
  expect(trimmed.range).toMatchObject({ from: 100, to: 103, slots: 3 });
  expect(trimmed.cpu.total).toEqual([1, null, 3]);
  expect(trimmed.memory.current).toHaveLength(3);
  expect(trimmed.cpu.cores[0]?.values).toEqual([1, null, 3]);
  expect(lastCovered(trimmed.covered)).toBe(2);
});
