import { expect, test } from "vitest";
import { command, exitText, failed, processLabel } from "../src/lib/label";
import { tokenIn, tokenOf } from "../src/lib/token";
import { stack } from "../src/lib/chart/stack";
import { processRow } from "./summary";

test("a process has its name and its pid in the container", () => {
  expect(processLabel(processRow({ pid: 4711, container_pid: 7, name: "cc1" }))).toBe("cc1 7");
  expect(processLabel(processRow({ pid: 4711, name: "cc1" }))).toBe("cc1 4711");
  expect(processLabel(processRow({ pid: 0, name: "cc1", count: 412 }))).toBe("cc1 ×412");
});

test("the words of a command line are quoted", () => {
  expect(command(processRow({ args: ["sh", "-c", "echo 'hi'", ""] }))).toBe("sh -c 'echo '\\''hi'\\''' ''");
  expect(command(processRow({ exe: "/bin/x" }))).toBe("/bin/x");
});

test("how a process ended", () => {
  expect(exitText({ code: 3 })).toBe("code 3");
  expect(exitText({ signal: 9 })).toBe("signal KILL");
  expect(exitText({ signal: 64 })).toBe("signal 64");
  expect(exitText(null)).toBe("");
  expect([failed({ code: 0 }), failed({ code: 1 }), failed({ signal: 15 }), failed(null)]).toEqual([false, true, true, false]);
});

test("a pasted link or token", () => {
  expect(tokenIn(" https://host/c/abc?t=1#token=a.b-_.c ")).toBe("a.b-_.c");
  expect(tokenIn("a.b-_.c")).toBe("a.b-_.c");
  expect([tokenIn("https://host/c/abc"), tokenIn(""), tokenIn("a b")]).toEqual([null, null, null]);
});

test("the token of a link", () => {
  expect(tokenOf("#token=a.b-_.c")).toBe("a.b-_.c");
  expect(tokenOf("#x=1&token=abc")).toBe("abc");
  expect(tokenOf("#token=")).toBeNull();
  expect(tokenOf("")).toBeNull();
});

test("a stack is running sums; a slot that is null in all series stays null", () => {
  expect(stack([[1, null, null], [2, 5, null]])).toEqual([[1, null, null], [3, 5, null]]);
});
