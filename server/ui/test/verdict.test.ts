import { expect, test } from "vitest";
import { stateText, verdict } from "../src/lib/verdict";
import { summary } from "./summary";

test("cores, a pinned core, memory against its limit, kills", () => {
  const MIB = 2 ** 20;
  const of = summary(100, Array<number>(20).fill(210), {
    events: [{ at: 105, kind: "oom_kill", process: null, detail: "" }],
  });
  of.cpu.cores = [
    { core: 0, values: Array<number>(20).fill(55) },
    { core: 3, values: Array<number>(20).fill(99.5) },
  ];
  of.memory.current = Array<number>(20).fill(82 * MIB);
  of.memory.limit = Array<number>(20).fill(100 * MIB);
  const phrases = verdict(of.container, of, true);
  expect(phrases.map((phrase) => phrase.text).join("; ")).toBe(
    "2.1 of 4 cores; core 3 pinned at 100 %; 82 % of its memory limit; 1 out-of-memory kill",
  );
  expect(phrases.map((phrase) => phrase.weight)).toEqual(["plain", "warn", "warn", "bad"]);
});

test("a CPU limit counts for more than the cores of the host", () => {
  const of = summary(100, [149, 149]);
  of.cpu.limit = [150, 150];
  expect(verdict(of.container, of, true)[0]).toEqual({ text: "1.5 of 1.5 cores", weight: "warn" });
});

test("what was not counted is said, and nothing is made up", () => {
  const gap = summary(100, [1, null, null, 1]);
  expect(verdict(gap.container, gap, false).map((phrase) => phrase.text)).toContain("2 s not counted");
  const none = summary(100, [null, null]);
  expect(verdict(none.container, none, false)).toEqual([{ text: "nothing was counted in this range", weight: "warn" }]);
});

test("the state in words", () => {
  const { container } = summary(1000, [1]);
  expect(stateText(container, 1000 + 3 * 3600)).toBe("running 3 h");
  const ended = { ...container, state: "ended" as const, started: 1000, ended: 1012, exit_code: 137, oom_killed: true };
  expect(stateText(ended, 5000)).toBe("exited 137, out of memory, after 12 s");
  expect(stateText({ ...ended, exit_code: null, oom_killed: false }, 5000)).toBe("ended after 12 s");
});
