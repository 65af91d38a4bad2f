import { expect, test } from "vitest";
import { grip, toTime, lifeShape, toPixel } from "../src/parts/timebar";

test("the pointer grips the handle before an edge, and an edge before the body", () => {
  const positions = { handle: 100, from: 50, to: 150 };
  expect(grip(103, positions)).toBe("handle");
  expect(grip(52, positions)).toBe("from");
  expect(grip(148, positions)).toBe("to");
  expect(grip(75, positions)).toBe("brush");
  expect(grip(10, positions)).toBe("new");
  expect(grip(150, { ...positions, handle: 150 })).toBe("handle");
});

test("pixels and times convert both ways within the bar", () => {
  expect(toPixel(150, 100, 200, 1000)).toBe(500);
  expect(toTime(500, 100, 200, 1000)).toBe(150);
  expect(toPixel(0, 100, 200, 1000)).toBe(0);
  expect(toTime(5000, 100, 200, 1000)).toBe(200);
  expect(toPixel(100, 100, 100, 1000)).toBe(0);
});

test("the bar has a gap and no area where there is no data", () => {
  const life = { first: 0, last: 4, step: 1, cpu: [10, null, null, 5], covered: [1, 0, 0, 1], marks: [] };
  const { area, gaps } = lifeShape(life, 0, 4, 400, 40);
  expect(gaps).toEqual([[100, 300]]);
  expect(area).toBe("M0.00 40V0.00H100.00V40ZM300.00 40V20.00H400.00V40Z");
});

test("what a running container has not delivered yet is no gap, and nothing of an ended one is on its way", () => {
  const life = { first: 0, last: 6, step: 1, cpu: [10, null, 10, 10, null, null], covered: [1, 0, 1, 1, 0, 0], marks: [] };
  const running = lifeShape(life, 0, 8, 800, 40, true);
  expect(running.gaps).toEqual([[100, 200]]);
  expect(running.coming).toEqual([400, 800]);
  const ended = lifeShape(life, 0, 6, 600, 40, false);
  expect(ended.gaps).toEqual([[100, 200], [400, 600]]);
  expect(ended.coming).toBeNull();
});
