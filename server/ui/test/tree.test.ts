import { expect, test } from "vitest";
import type { ProcessInfo } from "../src/lib/api/types";
import { ALIKE, distinct, flatten, processTree } from "../src/lib/tree";
import { processRow } from "./summary";

const byStart = (a: ProcessInfo, b: ProcessInfo): number => a.start - b.start;
const shape = (rows: ProcessInfo[], open: string[] = []): string[] =>
  flatten(processTree(rows, byStart), new Set(open)).map((node) => `${"  ".repeat(node.depth)}${node.row.name} ${node.row.count}`);

test("children stand under the parent that was alive when they began", () => {
  const rows = [
    processRow({ pid: 1, start: 0, name: "init" }),
    processRow({ pid: 5, start: 10, parent: 1, name: "old", end: 20 }),
    // The pid is used again.
    processRow({ pid: 5, start: 30, parent: 1, name: "new" }),
    processRow({ pid: 9, start: 15, parent: 5, name: "of-old" }),
    processRow({ pid: 10, start: 35, parent: 5, name: "of-new" }),
  ];
  expect(shape(rows)).toEqual(["init 1", "  old 1", "    of-old 1", "  new 1", "    of-new 1"]);
});

test("a program that was exec'd stands under what the process ran before", () => {
  const rows = [
    processRow({ pid: 7, start: 1, exec: 1, name: "make" }),
    processRow({ pid: 7, start: 1, exec: 0, name: "sh", end: 2 }),
  ];
  expect(shape(rows)).toEqual(["sh 1", "  make 1"]);
});

test("many alike leaves are one row, which opens", () => {
  const rows = [
    processRow({ pid: 1, start: 0, name: "make" }),
    ...Array.from({ length: ALIKE }, (_, i) =>
      processRow({ pid: 10 + i, start: i + 1, end: i + 2, parent: 1, name: "cc1", cpu_ns: 5, rss_max: i, exit: { code: i === 3 ? 1 : 0 } }),
    ),
    processRow({ pid: 99, start: 50, parent: 1, name: "cc1" }),
  ];
  const nodes = flatten(processTree(rows, byStart), new Set());
  expect(nodes.map((node) => [node.row.name, node.row.count, node.depth])).toEqual([["make", 1, 0], ["cc1", ALIKE, 1], ["cc1", 1, 1]]);
  const group = nodes[1]?.row;
  expect(group).toMatchObject({ cpu_ns: 5 * ALIKE, rss_max: ALIKE - 1, start: 1, end: ALIKE + 1, exit: { code: 1 } });
  expect(shape(rows, [group?.key ?? ""])).toHaveLength(3 + ALIKE);
});

test("rows that name each other as parents end, and none is lost", () => {
  const rows = [
    processRow({ pid: 1, start: 5, parent: 2, name: "a" }),
    processRow({ pid: 2, start: 5, parent: 1, name: "b" }),
    processRow({ pid: 3, start: 5, parent: 3, name: "own" }),
  ];
  expect(shape(rows).length).toBe(3);
});

test("alike leaves of one pid, before and after their parent began, are two rows with keys of their own", () => {
  const leaves = (from: number) =>
    Array.from({ length: ALIKE }, (_, i) =>
      processRow({ pid: 100 + from + i, start: from + i, end: from + i + 1, parent: 60, name: "cc1" }),
    );
  const rows = [processRow({ pid: 60, start: 50, name: "make" }), ...leaves(0), ...leaves(60)];
  const keys = flatten(processTree(rows, byStart), new Set()).map((node) => node.row.key);
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(3);
});

test("of rows with one key the first counts", () => {
  const rows = [processRow({ name: "a" }), processRow({ pid: 2, name: "b" }), processRow({ name: "c" })];
  expect(distinct(rows).map((row) => row.name)).toEqual(["a", "b"]);
});
