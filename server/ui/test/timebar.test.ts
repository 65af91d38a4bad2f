import { expect, test } from "vitest";
import { grip, instant, lifeShape, place } from "../src/parts/timebar";

test("a press takes hold of the handle before an edge, and of an edge before the body", () => {
  const places = { handle: 100, from: 50, to: 150 };
  expect(grip(103, places)).toBe("handle");
  expect(grip(52, places)).toBe("from");
  expect(grip(148, places)).toBe("to");
  expect(grip(75, places)).toBe("brush");
  expect(grip(10, places)).toBe("new");
  expect(grip(150, { ...places, handle: 150 })).toBe("handle");
});

test("places and instants are each other's inverse, within the bar", () => {
  expect(place(150, 100, 200, 1000)).toBe(500);
  expect(instant(500, 100, 200, 1000)).toBe(150);
  expect(place(0, 100, 200, 1000)).toBe(0);
  expect(instant(5000, 100, 200, 1000)).toBe(200);
  expect(place(100, 100, 100, 1000)).toBe(0);
});

test("the bar has a gap where nothing is known, and no area there", () => {
  const life = { first: 0, last: 4, step: 1, cpu: [10, null, null, 5], covered: [1, 0, 0, 1], marks: [] };
  const { area, gaps } = lifeShape(life, 0, 4, 400, 40);
  expect(gaps).toEqual([[100, 300]]);
  expect(area).toBe("M0.00 40V0.00H100.00V40ZM300.00 40V20.00H400.00V40Z");
});
