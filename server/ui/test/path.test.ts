import { expect, test } from "vitest";
import { directories, isSystemPath } from "../src/parts/path";

const file = (path: string, bytes_in: number) => ({
  path, kind: "file", bytes_in, bytes_out: 0, ops_in: 1, ops_out: 0, opens: 1, mapped_pages: 0, waited_ns: 0, processes: [],
});

test("bytes add up, chains are collapsed, and other names stand by themselves", () => {
  const root = directories([file("/var/lib/db/a", 30), file("/var/lib/db/b", 10), file("/tmp/x", 5), file("pipe", 3), file("/idle", 0)], 3);
  expect(root.bytes).toBe(48);
  expect(root.children.map((each) => [each.name, each.bytes])).toEqual([["var/lib/db", 40], ["tmp/x", 5], ["pipe", 3]]);
  expect(root.children[0]?.children.map((each) => [each.path, each.bytes])).toEqual([["/var/lib/db/a", 30], ["/var/lib/db/b", 10]]);
});

test("at most the given number of levels", () => {
  const root = directories([file("/a/b/c/d", 1), file("/a/b/c/e", 1), file("/a/f", 1)], 1);
  expect(root.children[0]?.children).toEqual([]);
});

test("system paths", () => {
  expect(isSystemPath("/usr/lib/x.so")).toBe(true);
  expect(isSystemPath("/etc")).toBe(true);
  expect(isSystemPath("/etcetera/x")).toBe(false);
  expect(isSystemPath("/home/usr/x")).toBe(false);
});
