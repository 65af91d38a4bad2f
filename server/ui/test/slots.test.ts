import { describe, expect, test } from "vitest";
import { alive, append, figureAt, figureText, gaps, HoleError, isPartial, knownTime, lastCovered, mean, peak, perSecond, shareOfSlot, slotOf, slotTimes, trim, type Focus } from "../src/lib/slots";
import { processRow, summary } from "./summary";

describe("slots and gaps", () => {
  const { range, covered } = summary(100, [1, null, null, 4, null]);

  test("there is one more time than slots, for the end of the last", () => {
    expect(slotTimes(range)).toEqual([100, 101, 102, 103, 104, 105]);
  });
  test("a moment is in the slot that contains it", () => {
    expect(slotOf(range, 100)).toBe(0);
    expect(slotOf(range, 103.99)).toBe(3);
    expect(slotOf(range, 99.9)).toBe(-1);
    expect(slotOf(range, 105)).toBe(-1);
  });
  test("gaps are spans of slots without data", () => {
    expect(gaps(range, covered)).toEqual([[101, 103], [104, 105]]);
    expect(gaps(range, [1, 1, 1, 1, 1])).toEqual([]);
  });
  test("known time is a part of the container's life, not of the range", () => {
    const seen = (first_seen: number, last_seen: number) => knownTime({ first_seen, last_seen }, { range, covered });
    expect(seen(0, 200)).toEqual({ lived: 5, known: 2 });
    expect(seen(103, 104)).toEqual({ lived: 1, known: 1 });
    expect(seen(103.5, 105)).toEqual({ lived: 1.5, known: 0.5 });
    expect(seen(0, 100)).toEqual({ lived: 0, known: 0 });
  });
  test("a rate is over the covered time; a gap has none", () => {
    expect(perSecond([600, null, 0], { ...range, step: 60 }, [1, 0, 1])).toEqual([10, null, 0]);
    expect(perSecond([600], { ...range, step: 60 }, [0.5])).toEqual([20]);
  });
  test("a slot is partial if half of what is known was observed in part", () => {
    const of = { covered: [1, 1, 0.5, 0], partial: [0, 0.4, 0.25, 0] };
    expect([0, 1, 2, 3, 4].map((slot) => isPartial(of, slot))).toEqual([false, false, true, false, false]);
    expect(mean([1, 2, 9, null], 0, (slot) => isPartial(of, slot))).toBe(1.5);
  });
  test("mean and peak ignore gaps", () => {
    expect(mean([1, null, 3])).toBe(2);
    expect(mean([null])).toBeNull();
    expect(mean([100, 1, 3], 1)).toBe(2);
    expect(peak([null, 2, 7, null])).toBe(7);
    expect(peak([])).toBeNull();
  });
});

describe("live pieces", () => {
  test("are appended, and the oldest slots are dropped", () => {
    const joined = append(summary(100, [1, 2, 3]), summary(103, [4, 5]), 4);
    expect(joined.range).toEqual({ from: 101, to: 105, step: 1, resolution: "second", slots: 4 });
    expect(joined.cpu.total).toEqual([2, 3, 4, 5]);
    expect(joined.cpu.processes).toEqual([{ process: "1-0-0", name: "sh", count: 1, values: [2, 3, 4, 5] }]);
    expect(joined.covered).toEqual([1, 1, 1, 1]);
  });

  test("replace slots that both have, without adding their tables again", () => {
    const base = summary(100, [1, 2, 3], { processes: [processRow({ cpu_ns: 10 })] });
    const joined = append(base, summary(101, [7, 8], { processes: [processRow({ cpu_ns: 99 })] }), 10);
    expect(joined.cpu.total).toEqual([1, 7, 8]);
    expect(joined.processes[0]?.cpu_ns).toBe(10);
  });

  test("keep gaps", () => {
    const joined = append(summary(100, [1, null]), summary(102, [null, 4]), 10);
    expect(joined.cpu.total).toEqual([1, null, null, 4]);
    expect(joined.covered).toEqual([1, 0, 0, 1]);
  });

  test("a new name was idle before, and one that is missing is idle now", () => {
    const piece = summary(102, [5]);
    piece.cpu.processes = [{ process: "2-0-0", name: "make", count: 1, values: [5] }];
    const joined = append(summary(100, [1, null]), piece, 10);
    expect(joined.cpu.processes).toEqual([
      { process: "1-0-0", name: "sh", count: 1, values: [1, null, 0] },
      { process: "2-0-0", name: "make", count: 1, values: [0, null, 5] },
    ]);
  });

  test("processes of one name are one series, as in a whole summary", () => {
    const piece = summary(101, [5]);
    piece.cpu.processes = [{ process: "2-0-0", name: "sh", count: 1, values: [5] }];
    expect(append(summary(100, [1]), piece, 10).cpu.processes).toEqual([{ process: null, name: "sh", count: 2, values: [1, 5] }]);
  });

  test("names that the stack does not show are added to (other), which stays last", () => {
    const series = (name: string, value: number) => ({ process: null, name, count: 1, values: [value] });
    const base = summary(100, [1]);
    base.cpu.processes = [...Array.from({ length: 11 }, (_, i) => series(`name-${i}`, 9)), series("(other)", 3)];
    const piece = summary(101, [1]);
    piece.cpu.processes = [series("new", 4), series("more", 2), series("name-0", 1), series("(other)", 1)];
    const joined = append(base, piece, 10).cpu.processes;
    expect(joined.map((each) => each.name)).toEqual([...Array.from({ length: 11 }, (_, i) => `name-${i}`), "new", "(other)"]);
    expect(joined[0]?.values).toEqual([9, 1]);
    expect(joined[11]?.values).toEqual([0, 4]);
    expect(joined[12]?.values).toEqual([3, 3]);
  });

  test("a process without a value left in the window is dropped", () => {
    const piece = summary(101, [0]);
    piece.cpu.processes = [];
    expect(append(summary(100, [1]), piece, 1).cpu.processes).toEqual([]);
  });

  test("tables add what is new: bytes add, memory takes the maximum, the end is the newest", () => {
    const file = { path: "/a", kind: "file", bytes_in: 1, bytes_out: 2, ops_in: 3, ops_out: 4, opens: 5, mapped_pages: 6, waited_ns: 7, processes: ["1-0-0"] };
    const base = summary(100, [1], { processes: [processRow({ cpu_ns: 5, rss_max: 9, bytes_in: 1 })] });
    base.files.rows = [file];
    const piece = summary(101, [1], { processes: [processRow({ cpu_ns: 6, rss_max: 4, bytes_in: 2, end: 101.5 })] });
    piece.files.rows = [{ ...file, processes: ["2-0-0"] }, { ...file, path: "/b" }];
    const joined = append(base, piece, 10);
    expect(joined.processes).toEqual([processRow({ cpu_ns: 11, rss_max: 9, bytes_in: 3, end: 101.5 })]);
    expect(joined.files.rows).toEqual([
      { path: "/a", kind: "file", bytes_in: 2, bytes_out: 4, ops_in: 6, ops_out: 8, opens: 10, mapped_pages: 12, waited_ns: 14, processes: ["1-0-0", "2-0-0"] },
      { ...file, path: "/b" },
    ]);
  });

  test("memory that one side did not measure is that of the other, never 0", () => {
    const base = summary(100, [1], { processes: [processRow({ rss_max: null, vm_max: 7, swap_max: null })] });
    const piece = summary(101, [1], { processes: [processRow({ rss_max: null, vm_max: 9, swap_max: null })] });
    expect(append(base, piece, 10).processes).toEqual([processRow({ rss_max: null, vm_max: 9, swap_max: null })]);
  });

  test("folded rows of both are at least the greater", () => {
    const row = (count: number) => processRow({ pid: 0, count });
    const joined = append(summary(100, [1], { processes: [row(400)] }), summary(101, [1], { processes: [row(300)] }), 10);
    expect(joined.processes).toEqual([processRow({ pid: 0, count: 400, count_at_least: true })]);
  });

  test("an event that arrives twice is kept once", () => {
    const event = { at: 101, kind: "oom_kill", process: null, detail: "" };
    const joined = append(summary(100, [1, 2], { events: [event] }), summary(101, [2, 3], { events: [event] }), 10);
    expect(joined.events).toEqual([event]);
  });

  test("that do not follow are an error", () => {
    expect(() => append(summary(100, [1]), summary(105, [1]), 10)).toThrow(HoleError);
    expect(() => append(summary(100, [1]), summary(90, [1]), 10)).toThrow(HoleError);
    const other = summary(101, [1]);
    other.range.step = 60;
    expect(() => append(summary(100, [1]), other, 10)).toThrow(HoleError);
  });
});

test("slots that have not arrived yet are cut off, gaps before them stay", () => {
  const trimmed = trim(summary(100, [1, null, 3, null, null]));
  expect(trimmed.range).toMatchObject({ from: 100, to: 103, slots: 3 });
  expect(trimmed.cpu.total).toEqual([1, null, 3]);
  expect(trimmed.memory.current).toHaveLength(3);
  expect(trimmed.cpu.cores[0]?.values).toEqual([1, null, 3]);
  expect(lastCovered(trimmed.covered)).toBe(2);
});

test("the share of a slot is one of its known part", () => {
  const range = { from: 0, to: 7_200, step: 3_600, resolution: "hour", slots: 2 } as const;
  // Five minutes with one core.
  expect(shareOfSlot(300e9, range, range, [5 / 60, 0], 0)).toBeCloseTo(100);
  expect(shareOfSlot(300e9, range, range, [1, 0], 0)).toBeCloseTo(100 / 12);
  expect(shareOfSlot(0, range, range, [1, 0], 3_600)).toBeNull();
  // The page shows another range by now.
  expect(shareOfSlot(300e9, range, { ...range, step: 60 }, [0.5, 0], 0)).toBeCloseTo(100 / 12);
});

test("processes alive at the end of a slot", () => {
  const of = summary(100, [1, 1, null], { processes: [processRow({ pid: 7, start: 99 }), processRow({ pid: 8, start: 100.2, end: 100.9 }), processRow({ pid: 9, start: 101.5 })], total_processes: 3 });
  expect([0, 1, 2].map((slot) => alive(of, slot))).toEqual(["1", "2", "–"]);
  expect(alive({ ...of, total_processes: 50 }, 1)).toBe("≥ 2");
  expect(alive(null, 1)).toBe("–");
});

describe("the figures of a range", () => {
  const percent = (value: number | null): string => (value === null ? "–" : `${value} %`);
  const range: Focus = { slot: 2, isRange: true, covered: [1, 0.5, 1, 0], partial: [0, 0, 0, 0] };

  test("are mean and maximum of what is known of it, said as such", () => {
    expect(figureText(range, [10, 100, 60, null], percent)).toBe("mean 48 %, max 100 %");
    expect(figureText(range, [60, 60, 60, null], percent)).toBe("60 %");
    expect(figureText(range, [null, null, null, null], percent)).toBe("–");
    // The mean of a share is not that of its slots.
    expect(figureText(range, [0, 100, 0, null], percent, 5)).toBe("mean 5 %, max 100 %");
  });
  test("are those of an instant while one is chosen", () => {
    expect(figureText({ ...range, isRange: false }, [10, 100, 60, null], percent)).toBe("60 %");
    expect(figureText({ ...range, isRange: false, slot: -1 }, [10, 100, 60, null], percent)).toBe("–");
  });
  test("leave out slots that were observed in part, if there are others", () => {
    expect(figureAt({ ...range, partial: [1, 0, 0, 0] }, [990, 30, 60, null])).toBe(50);
    expect(figureAt({ ...range, partial: [1, 1, 1, 1] }, [10, 100, 60, null])).toBe(48);
  });
});
