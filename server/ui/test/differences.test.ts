import { expect, test } from "vitest";
import type { Comparison, Side, Usage } from "../src/lib/api/types";
import { changeText, figures, missing } from "../src/lib/differences";
import { summary } from "./summary";

test.each([
  [125, 100, "+25 %"],
  [96, 100, "−4.0 %"],
  [320, 100, "×3.2"],
  [1000001, 1000000, "+< 0.1 %"],
  [0, 5, "gone"],
  [5, 0, "new"],
  [5, 5, ""],
  [null, 5, ""],
])("%d after %d is %s", (own, other, text) => expect(changeText(own, other)).toBe(text));

const usage: Usage = { processes: 3, processes_at_least: false, failed: 0, failed_unknown: 0, cpu_ns: 2e9, memory_max: null, bytes_in: 0, bytes_out: 0, received: 0, sent: 0, failures: 0 };
function side(part: Partial<Side["container"]>, used: Partial<Usage>, known = 60): Side {
  return { container: { ...summary(0, [1]).container, state: "ended", ...part }, seconds: 60, known_seconds: known, throttled_ns: null, usage: { ...usage, ...used } };
}
const none = { rows: [], total: 0, equal: 0, rest_own: usage, rest_other: usage };

test("an unknown figure is no difference, and another exit is one", () => {
  const comparison: Comparison = {
    own: side({ first_seen: 100, started: 100, ended: 130.5, exit_code: 137, oom_killed: true }, { cpu_ns: 4e9, memory_max: 1 << 30 }),
    other: side({ exit_code: 0 }, {}),
    commands: none,
    files: none,
    peers: none,
  };
  const by = new Map(figures(comparison).map((row) => [row.label, row]));
  expect(by.get("duration")).toMatchObject({ own: "30.5 s", other: "1 min" });
  expect(by.get("exit")).toMatchObject({ own: "137 (out of memory)", other: "0", change: "differs" });
  expect(by.get("CPU")).toMatchObject({ change: "×2.0", sign: 1 });
  expect(by.get("peak memory")).toMatchObject({ own: "1 GiB", other: "–", change: "", sign: 0 });
});

test("what is not known of a life is said", () => {
  expect(missing(side({ name: "web" }, {}, 50))).toBe("web: nothing is known of 10 s of its life, which all sums lack");
  expect(missing(side({}, {}))).toBe("");
});

test("of several lives, whose sums are together, the duration is that of all", () => {
  const twoLives = side({ first_seen: 0, started: 7_200, ended: 7_500 }, {});
  const oneLife = side({ first_seen: 0, started: 10.5, ended: 40.5 }, {});
  const [duration] = figures({ own: { ...twoLives, seconds: 7_500 }, other: oneLife, commands: none, files: none, peers: none });
  expect(duration).toMatchObject({ own: "2 h 5 min", other: "30 s" });
});

test("what scans of /proc do not find is no difference", () => {
  const by = new Map(figures({ own: side({}, { received: 5 }), other: side({ hooks: "procfs" }, {}), commands: none, files: none, peers: none }).map((row) => [row.label, row]));
  for (const label of ["received", "sent", "failed processes", "failed connections"]) expect(by.get(label)).toMatchObject({ other: "–", change: "" });
  expect(by.get("read")).toMatchObject({ other: "0 B" });
});

test("how folded processes ended is unknown, not 0, and what is known of them is a lower bound", () => {
  const folded = side({}, { processes: 500, processes_at_least: true, failed_unknown: 400 });
  const some = side({}, { processes: 500, failed: 7, failed_unknown: 400 });
  const of = (own: Side) => new Map(figures({ own, other: side({}, { failed: 2 }), commands: none, files: none, peers: none }).map((row) => [row.label, row]));
  expect(of(folded).get("failed processes")).toMatchObject({ own: "–", other: "2", change: "", sign: 0 });
  expect(of(folded).get("processes")).toMatchObject({ own: "at least 500", other: "3", change: "", sign: 0 });
  expect(of(some).get("failed processes")).toMatchObject({ own: "at least 7", other: "2", change: "", sign: 0 });
  expect(of(some).get("processes")).toMatchObject({ own: "500", sign: 1 });
});
