import { describe, expect, test } from "vitest";
import { parseDuration, parseTime, type Typed } from "../src/lib/timespan";

const DAY = Date.UTC(2026, 10, 24) / 1000;
const hour = (h: number, m = 0, s = 0): number => DAY + 3600 * h + 60 * m + s;
/** It is 15:00; the container has run since the day before. */
const parse = (text: string): Typed | string => parseTime(text, { bounds: [DAY - 86_400, hour(15)], utc: true });

describe("typed times", () => {
  test.each<[string, Typed]>([
    ["12:03-12:05", { kind: "range", from: hour(12, 3), to: hour(12, 5) }],
    [" 12:03:10 – 12:05 ", { kind: "range", from: hour(12, 3, 10), to: hour(12, 5) }],
    ["12:03+5m", { kind: "range", from: hour(12, 3), to: hour(12, 8) }],
    ["12:03 - now", { kind: "range", from: hour(12, 3), to: hour(15) }],
    ["2026-11-23 12:03 - 12:05", { kind: "range", from: hour(12, 3) - 86_400, to: hour(12, 5) - 86_400 }],
    ["2026-11-23T23:50-2026-11-24T00:10", { kind: "range", from: hour(-1, 50), to: hour(0, 10) }],
    // After now it was yesterday, and the end of a range may be after midnight.
    ["16:00", { kind: "instant", at: hour(16) - 86_400 }],
    ["23:50-00:10", { kind: "range", from: hour(-1, 50), to: hour(0, 10) }],
    ["12:03", { kind: "instant", at: hour(12, 3) }],
    ["-2h", { kind: "last", seconds: 7200 }],
    ["-1d12h", { kind: "last", seconds: 129_600 }],
  ])("%s", (text, typed) => expect(parse(text)).toEqual(typed));

  test.each(["", "soon", "25:00", "12:99", "-", "-2", "-0s", "12:05+", "2026-13-01 12:00", "2026-02-29 12:00", "12:05-x", "-999999d"])("%j says what can be typed", (text) =>
    expect(parse(text)).toMatch(/^type /),
  );

  test("on the first of a month, yesterday is in the month before", () => {
    const first = Date.UTC(2026, 10, 1) / 1000;
    expect(parseTime("23:00", { bounds: [0, first + 60], utc: true })).toEqual({ kind: "instant", at: first - 3600 });
  });

  test("a duration has a unit", () => expect([parseDuration("90 s"), parseDuration("1.5h"), parseDuration("90")]).toEqual([90, 5400, null]));
});
