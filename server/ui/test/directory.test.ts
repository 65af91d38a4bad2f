import { expect, test } from "vitest";
import type { GroupRow } from "../src/lib/api/types";
import { directoryRow, directoryTree, FILES_HERE, type DirectoryNode } from "../src/lib/directory";
import { placeWord } from "../src/lib/rows";
import { directories } from "../src/parts/path";

const row = (directory: string, bytes_in: number): GroupRow => ({ group: { directory }, rows: 1, sums: { bytes_in, bytes_out: 0, ops_in: 1, ops_out: 0, opens: 1, mapped_pages: 0, waited_ns: 0 }, names: [] });
const shape = (nodes: DirectoryNode[]): unknown[] => nodes.map((node) => [node.name, node.bytes_in, shape(node.children)]);

test("sums of directories are those of all below, the largest first", () => {
  const tree = directoryTree([row("/var/log", 1), row("/var/lib/db/base", 10), row("/var/lib/db/wal", 5), row("/tmp", 20), row("", 3), row("/", 2)]);
  expect(shape(tree)).toEqual([
    ["/tmp", 20, []],
    ["/var", 16, [["lib/db", 15, [["base", 10, []], ["wal", 5, []]]], ["log", 1, []]]],
    ["(no directory)", 3, []],
    ["/", 2, []],
  ]);
});

test("a directory with files and directories keeps both apart", () => {
  const [top] = directoryTree([row("/a", 4), row("/a/b", 6)]);
  expect(shape(top === undefined ? [] : [top])).toEqual([["/a", 10, [["b", 6, []], [FILES_HERE, 4, []]]]]);
  expect(top?.children.map((each) => each.path)).toEqual(["/a/b", "/a"]);
});

test("the icicle of directories has their sums, whatever the page has of their files", () => {
  const group = (directory: string, bytes_in: number) => ({ group: { directory }, rows: 900, sums: { bytes_in, bytes_out: 1 }, names: [] });
  const root = directories([group("/data/a", 99), group("/data/b", 9), group("", 4)].map(directoryRow), 3);
  expect(root.bytes).toBe(115);
  expect(root.children.map((each) => [each.path, each.bytes])).toEqual([["/data", 110], ["(no directory)", 5]]);
  expect(root.children[0]?.children.map((each) => [each.path, each.bytes])).toEqual([["/data/a", 100], ["/data/b", 10]]);
});

test("a bar finds its files: those below a directory, one file, or those without a directory", () => {
  expect(placeWord("/data", false)).toBe('path:"/data/"*');
  expect(placeWord("/data/a", true)).toBe('path:=="/data/a"');
  expect(placeWord(directoryRow(row("", 1)).path, false)).toBe('directory:==""');
});
