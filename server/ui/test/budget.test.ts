import { expect, test } from "vitest";
import { budgetLines, heldUp, waitsText } from "../src/lib/budget";

const series = (state: string, value: number) => ({ state, ns: value, values: [value, null] });
const time = { waits_known: true, states: [series("running", 40), series("sleep", 300), series("disk", 60), series("core", 5)] };

test("states are stacked in one order, idle time on top and on request", () => {
  expect(budgetLines(time, false).map((line) => line.key)).toEqual(["running", "core", "disk"]);
  const all = budgetLines(time, true);
  expect(all.map((line) => line.key)).toEqual(["running", "core", "disk", "sleep"]);
  expect(new Set(all.map((line) => line.colour)).size).toBe(4);
  expect(all[2]?.values).toEqual([60, null]);
});

test("a state that this version does not know is shown all the same", () => {
  const unknown = { waits_known: true, states: [series("moon", 1)] };
  expect(budgetLines(unknown, false)).toMatchObject([{ key: "moon", label: "moon" }]);
});

test("what holds a process up is not its idle time", () => {
  expect(heldUp({ core: 1, disk: 2, lock: 4, sleep: 1000, events: 1000, child: 1000, stopped: 1000 })).toBe(7);
  expect(waitsText({ core: 1, sleep: 30 }, (ns) => `${ns} ns`)).toBe("sleeping 30 ns, waiting for a core 1 ns");
});
