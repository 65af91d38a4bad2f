import { expect, test } from "vitest";
import type { MemoryPanel } from "../src/lib/api/types";
import { stackNote } from "../src/lib/memory";
import { summary } from "./summary";

function panel(part: Partial<MemoryPanel>, ...values: number[]): MemoryPanel {
  const processes = values.map((value, i) => ({ process: `${i}-0-0`, name: "sh", count: 1, values: [value] }));
  return { ...summary(0, [0]).memory, processes, ...part };
}

test("a stack within what the container had needs no words", () => {
  expect(stackNote(panel({ current: [100], at_one_time: [90] }, 40, 50), false)).toBe("");
});

test("processes that share pages hold more together than the container", () => {
  const note = stackNote(panel({ current: [107], at_one_time: [2100] }, 1000, 1100), false);
  expect(note).toMatch(/share pages/);
  expect(note).not.toMatch(/at one time/);
});

test("where shared pages are known, the stack has them once", () => {
  expect(stackNote(panel({ current: [100], shared: [30], at_one_time: [95] }, 30, 35), false)).toBe("");
  const note = stackNote(panel({ current: [100], shared: [30], at_one_time: [110] }, 30, 50), false);
  expect(note).toMatch(/ended in between/);
  expect(note).not.toMatch(/each counts them/);
});

test("processes one after the other never held their sum", () => {
  const note = stackNote(panel({ current: [60], at_one_time: [50] }, 50, 50), false);
  expect(note).toMatch(/at one time/);
  expect(note).not.toMatch(/share/);
});

test("what was not measured is compared with nothing", () => {
  expect(stackNote(panel({ current: [null], at_one_time: [100] }, 40, 60), false)).toBe("");
});

test("the virtual size says what it is", () => {
  expect(stackNote(panel({ measure: "virtual", at_one_time: [100], current: [null] }, 40, 60), false)).toMatch(/virtual size/);
});

test("of folded processes it is not known which of the two it was", () => {
  const memory = panel({ current: [60], at_one_time: [110] }, 50, 60);
  expect(stackNote(memory, true)).toMatch(/share pages, or/);
  expect(stackNote(panel({ current: [100], at_one_time: [90] }, 40, 50), true)).toBe("");
});
