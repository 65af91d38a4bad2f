import { expect, test } from "vitest";
import type { ProcessInfo } from "../src/lib/api/types";
import { MAX_OPEN_ROWS, MIN_GROUP_SIZE, atLeast, distinct, endOrder, endText, flatten, lifeOf, mayLack, mergePrograms, openAtFirst, processTree, programsText, rootedAt, sumOf } from "../src/lib/tree";
import { processRow } from "./summary";

const byStart = (a: ProcessInfo, b: ProcessInfo): number => a.start - b.start;
const byCpu = (a: ProcessInfo, b: ProcessInfo): number => b.cpu_ns - a.cpu_ns || a.pid - b.pid;
const tree = (rows: ProcessInfo[], compare = byStart) => processTree(mergePrograms(rows), compare);
const shape = (rows: ProcessInfo[], open: string[] = []): string[] => {
  const nodes = tree(rows);
  return flatten(nodes, new Set([...openAtFirst(nodes), ...open])).map((node) => `${"  ".repeat(node.depth)}${programsText(node.row.programs)} ${node.row.count}`);
};

test("children stand below the parent that ran when they started", () => {
  const rows = [
    processRow({ pid: 1, start: 0, name: "init" }),
    processRow({ pid: 5, start: 10, parent: 1, name: "old", end: 20 }),
    // The pid is reused.
    processRow({ pid: 5, start: 30, parent: 1, name: "new" }),
    processRow({ pid: 9, start: 15, parent: 5, name: "of-old" }),
    processRow({ pid: 10, start: 35, parent: 5, name: "of-new" }),
  ];
  expect(shape(rows)).toEqual(["init 1", "  old 1", "    of-old 1", "  new 1", "    of-new 1"]);
});

test("a fork and its exec are one line, with what both used and how the last one ended", () => {
  const rows = [
    processRow({ pid: 7, start: 1, exec: 1, name: "make", cpu_ns: 5, rss_max: 3, bytes_in: 1, end: 9, exit: { code: 2 } }),
    processRow({ pid: 7, start: 1, exec: 0, name: "sh", parent: 1, cpu_ns: 2, rss_max: 8, end: 2 }),
    processRow({ pid: 8, start: 1.5, parent: 7, name: "child" }),
  ];
  expect(shape(rows)).toEqual(["sh → make 1", "  child 1"]);
  const [line] = mergePrograms(rows);
  expect(line).toMatchObject({ key: "7-1-1", name: "make", cpu_ns: 7, rss_max: 8, bytes_in: 1, parent: 1, end: 9, exit: { code: 2 } });
  expect(lifeOf("7-1-1")).toBe(lifeOf("7-1-0"));
  expect(programsText(["a", "b", "c", "d"])).toBe("a → … → d");
});

test("a tree can begin at the highest processes with a name, with the sums of all below", () => {
  const rows = [
    processRow({ pid: 1, start: 0, name: "init", cpu_ns: 100 }),
    processRow({ pid: 2, start: 1, parent: 1, name: "make", cpu_ns: 1, bytes_in: 7 }),
    processRow({ pid: 3, start: 2, parent: 2, name: "make", cpu_ns: 2 }),
    processRow({ pid: 4, start: 3, parent: 3, name: "cc1", exe: "/usr/lib/cc1", cpu_ns: 4 }),
    processRow({ pid: 5, start: 4, parent: 1, name: "python3", exe: "/opt/make", cpu_ns: 8 }),
  ];
  const roots = rootedAt(tree(rows), "make");
  const shown = flatten(roots, openAtFirst(roots)).map((node) => `${"  ".repeat(node.depth)}${node.row.name} ${node.row.pid}`);
  expect(shown).toEqual(["make 2", "  make 3", "    cc1 4", "python3 5"]);
  expect(sumOf(roots)).toMatchObject({ processes: 4, cpu_ns: 15, bytes_in: 7 });
  expect(rootedAt(tree(rows), "ma")).toEqual([]);
});

test("siblings are in the order of what their subtrees used", () => {
  const rows = [
    processRow({ pid: 1, start: 0, name: "init" }),
    processRow({ pid: 2, start: 1, parent: 1, name: "busy", cpu_ns: 50 }),
    processRow({ pid: 3, start: 1, parent: 1, name: "make", cpu_ns: 1 }),
    processRow({ pid: 4, start: 2, parent: 3, name: "cc1", cpu_ns: 80 }),
  ];
  const nodes = tree(rows, byCpu);
  expect(flatten(nodes, openAtFirst(nodes)).map((node) => [node.row.name, node.row.cpu_ns, node.total.cpu_ns, node.below])).toEqual([
    ["init", 0, 131, 3],
    ["make", 1, 81, 1],
    ["cc1", 80, 80, 0],
    ["busy", 50, 50, 0],
  ]);
});

test("of a large tree the path of those that used most is open", () => {
  const rows = [processRow({ pid: 1, start: 0, name: "init" })];
  for (let i = 0; i < MAX_OPEN_ROWS; i++) {
    rows.push(processRow({ pid: 100 + i, start: 1, parent: 1, name: `worker-${i}`, cpu_ns: i }));
    rows.push(processRow({ pid: 1000 + i, start: 2, parent: 100 + i, name: `child-${i}`, cpu_ns: i }));
  }
  const nodes = tree(rows, byCpu);
  const names = flatten(nodes, openAtFirst(nodes)).map((node) => node.row.name);
  expect(names.slice(0, 4)).toEqual(["init", "worker-39", "child-39", "worker-38"]);
  expect(names.filter((name) => name.startsWith("child"))).toEqual(["child-39"]);
});

test("many leaves with one name are one row that opens", () => {
  const rows = [
    processRow({ pid: 1, start: 0, name: "make" }),
    ...Array.from({ length: MIN_GROUP_SIZE }, (_, i) =>
      processRow({ pid: 10 + i, start: i + 1, end: i + 2, parent: 1, name: "cc1", cpu_ns: 5, rss_max: i, exit: { code: i === 3 ? 1 : 0 } }),
    ),
    processRow({ pid: 99, start: 50, parent: 1, name: "cc1" }),
  ];
  const all = tree(rows);
  const nodes = flatten(all, openAtFirst(all));
  expect(nodes.map((node) => [node.row.name, node.row.count, node.depth])).toEqual([["make", 1, 0], ["cc1", MIN_GROUP_SIZE, 1], ["cc1", 1, 1]]);
  const group = nodes[1]?.row;
  expect(group).toMatchObject({ cpu_ns: 5 * MIN_GROUP_SIZE, rss_max: MIN_GROUP_SIZE - 1, start: 1, end: MIN_GROUP_SIZE + 1, exit: { code: 1 } });
  expect(shape(rows, [group?.key ?? ""])).toHaveLength(3 + MIN_GROUP_SIZE);
});

test("rows that are each other's parents do not loop, and none is lost", () => {
  const rows = [
    processRow({ pid: 1, start: 5, parent: 2, name: "a" }),
    processRow({ pid: 2, start: 5, parent: 1, name: "b" }),
    processRow({ pid: 3, start: 5, parent: 3, name: "own" }),
  ];
  expect(shape(rows).length).toBe(3);
});

test("groups of leaves before and after their parent started have different keys", () => {
  const leaves = (from: number) =>
    Array.from({ length: MIN_GROUP_SIZE }, (_, i) =>
      processRow({ pid: 100 + from + i, start: from + i, end: from + i + 1, parent: 60, name: "cc1" }),
    );
  const rows = [processRow({ pid: 60, start: 50, name: "make" }), ...leaves(0), ...leaves(60)];
  const nodes = tree(rows);
  const keys = flatten(nodes, openAtFirst(nodes)).map((node) => node.row.key);
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(3);
});

test("the first of several rows with one key is kept", () => {
  const rows = [processRow({ name: "a" }), processRow({ pid: 2, name: "b" }), processRow({ name: "c" })];
  expect(distinct(rows).map((row) => row.name)).toEqual(["a", "b"]);
});

test("of a group that failed in part, the number is told and no exit of a single one", () => {
  const exits = [0, 0, 1, 0, 0, 0];
  const rows = exits.map((code, i) => processRow({ pid: 10 + i, start: i, end: i + 1, name: "cc1", exit: { code } }));
  const [node] = tree(rows);
  if (node === undefined) throw new Error("no row");
  expect([node.row.count, endText(node.row)]).toEqual([6, "1 failed"]);
  const [alone] = mergePrograms(rows.slice(2, 3));
  expect(alone && endText(alone)).toBe("code 1");
  const [fine] = tree(rows.map((row) => ({ ...row, exit: { code: 0 } })));
  expect(fine && endText(fine.row)).toBe("code 0");
});

test("of a tree that is cut, sums of several rows are lower bounds, and figures of one process are not", () => {
  const rows = [processRow({ pid: 1, start: 0, name: "make" }), ...Array.from({ length: 6 }, (_, i) => processRow({ pid: 10 + i, parent: 1, start: 1, end: 2, name: "cc1" }))];
  const [make] = tree(rows);
  const group = make?.children[0];
  const leaf = group?.children[0];
  if (make === undefined || group === undefined || leaf === undefined) throw new Error("no rows");
  const all = (isOpen: boolean, isCut: boolean) => [make, group, leaf].map((node) => mayLack(node, isOpen, isCut));
  expect(all(false, true)).toEqual([true, true, false]);
  expect(all(true, true)).toEqual([false, true, false]);
  expect(all(false, false)).toEqual([false, false, false]);
});

test("running processes are before those that ended, as the server sorts", () => {
  const rows = [processRow({ end: 5 }), processRow({ end: null }), processRow({ end: 3 })];
  expect(rows.sort((a, b) => endOrder(a) - endOrder(b)).map((row) => row.end)).toEqual([null, 3, 5]);
});

test("a sum that may lack rows is a lower bound, and an unknown one stays unknown", () => {
  expect(["1.5 s", "–", ""].map(atLeast)).toEqual(["≥ 1.5 s", "–", ""]);
});
