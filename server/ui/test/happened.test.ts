import { expect, test } from "vitest";
import type { GroupRow } from "../src/lib/api/types";
import { countsText, grouped, groupLine, localLines } from "../src/lib/happened";

const events = [
  { at: 10, kind: "connection_failed", process: "7-1-0", detail: "10.9.9.9:5432" },
  { at: 11, kind: "connection_failed", process: "7-1-0", detail: "10.9.9.9:5432" },
  { at: 12, kind: "oom_kill", process: "7-1-0", detail: "" },
  { at: 13, kind: "folded", process: null, detail: "40" },
];
const names = new Map([["7-1-0", { name: "postgres", pid: 7 }]]);

test("events are lines with the names of their processes", () => {
  const lines = localLines(events, names);
  expect(lines.map(({ at, name, count }) => [at, name, count])).toEqual([[10, "postgres", 1], [11, "postgres", 1], [12, "postgres", 1], [13, "", 40]]);
});

test("groups of the page are those of the server", () => {
  const [first, second] = grouped(localLines(events, names));
  const row = { group: { kind: "connection_failed", detail: "10.9.9.9:5432", name: "postgres" }, rows: 2, sums: { count: 2 } } as unknown as GroupRow;
  expect(first).toEqual(groupLine(row));
  expect(second?.count).toBe(1);
});

test("counts are in words, the most frequent first", () => {
  expect(countsText({ oom_kill: 1, connection_failed: 4208 })).toBe("connection failed 4,208, killed: out of memory 1");
});

test("groups whose texts have blanks stay apart", () => {
  const sums = (name: string, detail: string) => groupLine({ group: { kind: "connection_failed", name, detail }, sums: { count: 1 }, rows: 1 } as never).key;
  expect(sums("a", "b c")).not.toBe(sums("a b", "c"));
});
