import { describe, expect, test } from "vitest";
import { ago, axisTimes, bytes, clock, cores, count, cpuTime, duration, moment, near, percent, rate, UNKNOWN, zone } from "../src/lib/units";

describe("bytes", () => {
  test.each([
    [0, "0 B"],
    [1, "1 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.50 KiB"],
    [10_240_000, "9.77 MiB"],
    [777_000, "759 KiB"],
    [2 ** 30, "1 GiB"],
    [1024 ** 2 - 1, "1.00 MiB"],
    [-2048, "-2 KiB"],
  ])("%d is %s", (value, text) => expect(bytes(value)).toBe(text));

  test("an unknown number is never a zero", () => {
    for (const value of [null, undefined, Number.NaN, Infinity]) {
      expect(bytes(value)).toBe(UNKNOWN);
      expect(rate(value)).toBe(UNKNOWN);
      expect(percent(value)).toBe(UNKNOWN);
      expect(count(value)).toBe(UNKNOWN);
      expect(cores(value)).toBe(UNKNOWN);
      expect(duration(value)).toBe(UNKNOWN);
    }
    expect(cpuTime(null)).toBe(UNKNOWN);
    expect(moment(null, true)).toBe(UNKNOWN);
  });
});

test("small percentages keep a digit", () => {
  expect(percent(0)).toBe("0 %");
  expect(percent(0.01)).toBe("< 0.1 %");
  expect(percent(3.14)).toBe("3.1 %");
  expect(percent(213.4)).toBe("213 %");
});

test("cores from percent of one core", () => {
  expect(cores(213)).toBe("2.1");
  expect(cores(3)).toBe("0.03");
  expect(cores(1600)).toBe("16");
});

test.each([
  [0, "0 s"],
  [0.000_25, "250 µs"],
  [0.001_25, "1.25 ms"],
  [2, "2 s"],
  [59.94, "59.9 s"],
  [200, "3 min 20 s"],
  [3600, "1 h"],
  [18_720, "5 h 12 min"],
  [90_000, "1 d 1 h"],
])("a duration of %d s is %s", (seconds, text) => expect(duration(seconds)).toBe(text));

test("moments in UTC", () => {
  const at = Date.UTC(2026, 10, 24, 12, 4, 31) / 1000;
  expect(clock(at, true)).toBe("12:04:31");
  expect(moment(at, true)).toBe("2026-11-24 12:04:31");
  expect(near(at, at + 60, true)).toBe("12:04:31");
  expect(near(at, at + 86_400, true)).toBe("2026-11-24 12:04:31");
  expect(ago(1)).toBe("now");
  expect(ago(6 * 3600 + 5)).toBe("6 h ago");
});

test("labels of a time axis are as short as possible", () => {
  const noon = Date.UTC(2026, 10, 24, 12) / 1000;
  expect(axisTimes([noon, noon + 10], true)).toEqual(["12:00:00", "12:00:10"]);
  expect(axisTimes([noon, noon + 600], true)).toEqual(["12:00", "12:10"]);
  expect(axisTimes([noon, noon + 6 * 3600, noon + 12 * 3600], true)).toEqual(["12:00", "18:00", "11-25"]);
});

test("the zone is the one in effect at that time", () => {
  const own = process.env.TZ;
  try {
    for (const [name, text] of [["Europe/Berlin", "UTC+01:00"], ["America/St_Johns", "UTC-03:30"], ["UTC", "UTC"]] as const) {
      process.env.TZ = name;
      expect(zone(1_764_000_000, false)).toBe(text);
      expect(zone(1_764_000_000, true)).toBe("UTC");
    }
  } finally {
    if (own === undefined) delete process.env.TZ;
    else process.env.TZ = own;
  }
});
