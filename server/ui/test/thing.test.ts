import { expect, test } from "vitest";
import { formatThing, parseThing, processThing, wordsOf, type Thing } from "../src/lib/thing";

const things: Thing[] = [
  { kind: "process", key: "4711-1764000000000000000-2" },
  { kind: "file", path: `/tmp/a b:"c",<d>` },
  { kind: "peer", protocol: "tcp", role: "client", port: 5432, remote: "fd00::1" },
  { kind: "peer", protocol: "unix-datagram", role: "unknown", port: null, remote: "/run/a,b" },
];
test.each(things)("%j survives the address", (thing) => expect(parseThing(formatThing(thing))).toEqual(thing));

test.each(["", "process:", "process:0-0-0-cc1", "process:1-2-3-4", "file:", "peer:tcp,client", "peer:tcp,client,x,10.0.0.1", "disk:sda", `file:${"x".repeat(5000)}`])(
  "%.20s shows nothing",
  (text) => expect(parseThing(text)).toBeNull(),
);

test("a folded row is no process", () => {
  expect(processThing("0-0-0-cc1")).toBeNull();
  expect(processThing("7-12-0")).toEqual({ kind: "process", key: "7-12-0" });
});

test("words match this thing alone, whatever its name", () => {
  expect(wordsOf({ kind: "file", path: `/tmp/"x"` })).toBe(`path:=="/tmp/\\"x\\""`);
  expect(wordsOf({ kind: "peer", protocol: "tcp", role: "client", port: 5432, remote: "10.0.0.1" })).toBe(`protocol:=="tcp" role:=="client" remote:=="10.0.0.1" port:5432`);
});
