import { describe, expect, test } from "vitest";
import type { RangeInfo } from "../src/lib/api/types";
import { align, startOffset, alignedSeries, isOutdated, planQuery, slotShift, type OtherQuery } from "../src/lib/compare";
import { summary } from "./summary";

const range = (from: number, slots: number, step = 1): RangeInfo => ({ from, to: from + slots * step, step, slots, resolution: "second" });

test("containers are aligned at their start, or at first_seen if the start is unknown", () => {
  expect(startOffset({ started: 1000.25, first_seen: 1001 }, { started: 400.5, first_seen: 401 })).toBe(-599.75);
  expect(startOffset({ started: null, first_seen: 100 }, { first_seen: 500 })).toBe(400);
});

test("the shift is a whole number of slots", () => {
  expect(slotShift(-599.75, 1)).toBe(-600);
  expect(slotShift(-599.75, 60)).toBe(-600);
  expect(slotShift(89, 60)).toBe(60);
  expect(slotShift(-20, 60)).toBe(0);
});

describe("series in this container's slots", () => {
  test("slot by slot, with a gap where the other has no slot", () => {
    // The query starts with the other. Before its start and after its end there is no data.
    expect(align([1, 2, null, 4], range(500, 4), range(1000, 6), -501)).toEqual([null, 1, 2, null, 4, null]);
  });

  test("a coarser slot of the other covers several of this one", () => {
    expect(align([10, 20], range(120, 2, 60), range(1140, 4, 30), -1000)).toEqual([10, 20, 20, null]);
  });

  test("bytes become rates over the covered time", () => {
    const of = summary(500, [50, null, 100]);
    of.files.in = [4096, null, 1024];
    of.covered = [0.5, 0, 1];
    const made = alignedSeries(of, range(1000, 4), -500);
    expect(made.cpu).toEqual([50, null, 100, null]);
    expect(made.read).toEqual([8192, null, 1024, null]);
    expect(made.sent).toEqual([0, null, 0, null]);
  });
});

describe("queries about the other", () => {
  const ask = (of: RangeInfo, shift: number, live: boolean, now: number): OtherQuery => {
    const asked = planQuery(of, shift, live, now);
    if (asked === null) throw new Error("no query");
    return asked;
  };

  test("the same slots, in the other's time", () => {
    expect(ask(range(1000, 60), -500, false, 9000)).toMatchObject({ from: 500, to: 560, step: 1 });
    expect(ask(range(6000, 10, 60), -5900, false, 9000)).toMatchObject({ from: 100, to: 700, step: 60 });
  });

  test("neither before the epoch nor in the future", () => {
    expect(ask(range(1000, 60), -1030, false, 9000)).toMatchObject({ from: 0, to: 30 });
    expect(planQuery(range(1000, 60), -2000, false, 9000)).toBeNull();
    expect(planQuery(range(1000, 60), 8500, false, 9000)).toBeNull();
  });

  test("the past is fetched once; another range or step is fetched again", () => {
    const held = ask(range(1000, 100), -500, false, 1100);
    expect(isOutdated(null, range(1000, 100), -500, false, 1100)).toBe(true);
    expect(isOutdated(held, range(1000, 100), -500, false, 9999)).toBe(false);
    expect(isOutdated(held, range(1020, 50), -500, false, 9999)).toBe(false);
    expect(isOutdated(held, range(990, 100), -500, false, 9999)).toBe(true);
    expect(isOutdated(held, range(1010, 100), -500, false, 9999)).toBe(true);
    expect(isOutdated(held, range(1000, 50, 2), -500, false, 9999)).toBe(true);
  });

  test("a live page queries ahead", () => {
    const held = ask(range(1000, 300), -500, true, 1300);
    expect(held).toMatchObject({ from: 500, to: 1100 });
    expect(isOutdated(held, range(1250, 300), -500, true, 1550)).toBe(false);
    expect(isOutdated(held, range(1301, 300), -500, true, 1601)).toBe(true);
    expect(ask(range(1000, 1900), 0, true, 2900).to).toBe(3000);
    expect(ask(range(1000, 2000), 0, true, 3000).to).toBe(3000);
  });

  test("recent data is fetched again, but not each second, and once more when the page stops being live", () => {
    const held = ask(range(1000, 300), 0, true, 1300);
    expect(isOutdated(held, range(1001, 300), 0, true, 1301)).toBe(false);
    expect(isOutdated(held, range(1005, 300), 0, true, 1305)).toBe(true);
    expect(isOutdated(held, range(1003, 300), 0, false, 1303)).toBe(true);
    const stopped = ask(range(1003, 300), 0, false, 1303);
    expect(isOutdated(stopped, range(1003, 300), 0, false, 1400)).toBe(false);
  });
});
