import { expect, test } from "vitest";
import { thin } from "../src/lib/thin";

test("few points are unchanged", () => {
  expect(thin([1, null, 3], 10)).toEqual([{ index: 0, value: 1 }, { index: 1, value: null }, { index: 2, value: 3 }]);
});

test("no spike or dip is lost, the order stays, and the number is bounded", () => {
  const values = Array.from({ length: 2000 }, (_, i) => 50 + Math.sin(i));
  values[777] = 1000;
  values[1234] = -1000;
  const points = thin(values, 120);
  expect(points.length).toBeLessThanOrEqual(120);
  expect(points).toContainEqual({ index: 777, value: 1000 });
  expect(points).toContainEqual({ index: 1234, value: -1000 });
  expect(points.map((point) => point.index)).toEqual([...points.map((point) => point.index)].sort((a, b) => a - b));
});

test("a gap stays a gap", () => {
  const values: (number | null)[] = Array.from({ length: 1000 }, (_, i) => (i >= 400 && i < 600 ? null : 1));
  const points = thin(values, 100);
  expect(points.some((point) => point.value === null && point.index >= 400 && point.index < 600)).toBe(true);
  expect(points.every((point) => (point.value === null) === (point.index >= 400 && point.index < 600))).toBe(true);
});
