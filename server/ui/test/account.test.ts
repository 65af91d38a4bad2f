import { describe, expect, test } from "vitest";
import type { PeerInfo, Summary } from "../src/lib/api/types";
import { account } from "../src/lib/account";
import { stateText } from "../src/lib/state-text";
import { processRow, summary } from "./summary";

const MIB = 2 ** 20;
const texts = (of: Summary): string[] => account(of.container, of, true).map((phrase) => phrase.text);
const filled = (n: number, value: number): number[] => Array<number>(n).fill(value);
const peer = (part: Partial<PeerInfo>): PeerInfo => ({ protocol: "tcp", role: "client", remote: "10.0.0.5", port: 5432, connections: 1, bytes_in: 0, bytes_out: 0, ops_in: 0, ops_out: 0, connects: 0, failures: 0, waited_ns: 0, ...part });

test("a kill names the process, what it had, how it grew, and that the job ended", () => {
  const killed = processRow({ pid: 5580, container_pid: 7, name: "python3", rss_max: 80 * MIB });
  const of = summary(64681_000, filled(30, 50), { processes: [killed], events: [{ at: 64681_020.5, kind: "oom_kill", process: killed.key, detail: "" }] });
  of.container = { ...of.container, state: "ended", ended: 64681_022, exit_code: 137, oom_killed: true };
  of.memory.limit = filled(30, 80 * MIB);
  of.memory.current = Array.from({ length: 30 }, (_, i) => (i <= 20 ? 40 + 2 * i : 10) * MIB);
  of.memory.processes = [{ process: killed.key, name: "python3", count: 1, values: of.memory.current }];
  const [first] = account(of.container, of, true);
  expect(first).toEqual({
    text: "14:57:00 the kernel killed python3 (pid 7; 80 MiB resident, limit 80 MiB) after it grew 2 MiB/s for 20 s; the container ended with 137",
    weight: "bad",
    evidence: { panel: "memory", at: 64681_020.5 },
  });
});

test("kills that are folded are counted, and memory that did not grow is not said to", () => {
  const of = summary(100, filled(5, 10), { events: [{ at: 102, kind: "oom_kill", process: null, detail: "" }], totals: { oom_kills: 7 } });
  of.memory.current = filled(5, 3 * MIB);
  expect(texts(of).slice(0, 2)).toEqual(["00:01:42 the kernel killed a process", "another 6 out-of-memory kills"]);
});

test("failures are those of all connections, by peer", () => {
  const of = summary(100, [10, 10, null, 10]);
  of.network.failures = [4000, 208, null, 20];
  of.network.peers = [peer({ failures: 4208, connects: 92 }), peer({ remote: "10.0.0.6", failures: 10, connects: 90 }), peer({ remote: "10.0.0.7", failures: 1 })];
  expect(account(of.container, of, true).slice(0, 3)).toEqual([
    { text: "4,208 of 4,300 connections to 10.0.0.5:5432 failed", weight: "bad", evidence: { panel: "network" } },
    { text: "10 of 100 connections to 10.0.0.6:5432 failed", weight: "warn", evidence: { panel: "network" } },
    { text: "10 more failed connections", weight: "warn", evidence: { panel: "network" } },
  ]);
});

test("a core that is full, the limit that holds back, and what tasks wait for", () => {
  const of = summary(100, filled(20, 210));
  of.cpu.cores = [
    { core: 0, values: filled(20, 55) },
    { core: 3, values: filled(20, 99.5) },
  ];
  of.pressure.io = filled(20, 12);
  of.pressure.cpu = filled(20, 30);
  expect(texts(of).slice(0, 3)).toEqual(["some task waited for a core 30 % of the time", "some task waited for the disk 12 % of the time", "core 3 full all the time"]);
  of.cpu.throttled = filled(20, 38);
  of.cpu.limit = filled(20, 50);
  // Waiting for a core is what the limit does.
  expect(texts(of)).toContain("its CPU limit of 0.5 held back 15 % of the CPU time that it could have used");
  expect(texts(of).join()).not.toContain("waited for a core");
});

test("memory against its limit, from the threshold on", () => {
  const of = summary(100, filled(3, 10));
  of.memory.limit = filled(3, 100 * MIB);
  const weight = (share: number) => {
    of.memory.current = [1, share * MIB, 1];
    return account(of.container, of, true).find((phrase) => phrase.text.includes("memory limit"));
  };
  expect(weight(79)).toEqual({ text: "79 % of its memory limit at its peak", weight: "plain", evidence: { panel: "memory", at: 101 } });
  expect([weight(80)?.weight, weight(94)?.weight, weight(95)?.weight]).toEqual(["warn", "warn", "bad"]);
});

test("a slot that is known in part counts for that part", () => {
  // A job in hours: it ran 5 minutes of the first with one core, then with four.
  const of = summary(0, [100, 400, 400], { range: { from: 0, to: 10_800, step: 3_600, resolution: "hour", slots: 3 }, covered: [5 / 60, 1, 35 / 60] });
  expect(texts(of)).toContain("3.9 of 4 cores on average");
  const idle = summary(0, [0, 400, 0], { range: of.range, covered: [5 / 60, 1, 0.5] });
  expect(texts(idle).join()).not.toContain("idle");
  expect(texts({ ...idle, covered: [1, 0.5, 1] })).toContain("idle 80 % of the time");
});

test("processes that failed, of all processes", () => {
  const of = summary(100, [10], { total_failed: 3, distinct_processes: 123, failed: [{ name: "cc1", exit: { code: 1 }, count: 2 }, { name: "sh", exit: { signal: 9 }, count: 1 }] });
  expect(texts(of)).toContain("3 of 123 processes failed: cc1 code 1 (2 times), …");
  // How processes of a folded row ended is not known.
  expect(texts({ ...of, distinct_at_least: true })).toContain("3 of at least 123 processes failed: cc1 code 1 (2 times), …");
  expect(texts({ ...of, failed_unknown: 100 })).toContain("at least 3 of 123 processes failed: cc1 code 1 (2 times), …");
  expect(texts(summary(100, [10], { failed_unknown: 4840, distinct_processes: 5000 }))).toContain("how 4,840 of 5,000 processes ended is unknown");
});

test("an end with a signal is told by its code", () => {
  const of = summary(100, [10, 10]);
  of.container = { ...of.container, state: "ended", ended: 101, exit_code: 143 };
  expect(texts(of)[0]).toBe("ended with 143, signal TERM at 00:01:41");
  of.container.ended = 90;
  expect(texts(of).join()).not.toContain("ended with");
});

describe("within bounds", () => {
  test("nothing stands out, and the figures are said", () => {
    const of = summary(100, filled(4, 149));
    of.cpu.cores = [];
    of.memory.current = filled(4, 5 * MIB);
    expect(texts(of)).toEqual(["nothing stands out", "1.5 of 4 cores on average", "5 MiB of memory at its peak, no limit"]);
  });
  test("what was not measured cannot stand out, which is said", () => {
    const of = summary(100, filled(4, 149));
    of.cpu.cores = [];
    of.accounting.hooks = "procfs";
    expect(texts(of)[0]).toBe("nothing stands out, but peers, failures and exits were not measured");
    of.accounting.hooks = "sysdig";
    expect(texts(of)[0]).toBe("nothing stands out, but failed connections were not measured");
  });
  test("being idle is said, of its life only if the range is its life", () => {
    const of = summary(100, [0, 0, 0, 0, 50]);
    expect(texts(of)).toContain("idle 80 % of the time");
    of.container = { ...of.container, state: "ended", last_seen: 105 };
    expect(texts(of)).toContain("idle 80 % of its life");
  });
});

test("a CPU limit takes precedence over the number of cores", () => {
  const of = summary(100, [149, 149]);
  of.cpu.cores = [];
  of.cpu.limit = [150, 150];
  expect(account(of.container, of, true)[0]).toEqual({ text: "1.5 of 1.5 cores on average", weight: "warn", evidence: { panel: "cpu" } });
});

test("missing data is reported, and no number is invented", () => {
  expect(texts(summary(100, [1, null, null, 1]))).toContain("no data for 2 s");
  expect(texts(summary(100, [null, null]))).toEqual(["no data in this range"]);
});

test("averages leave out what was observed in part", () => {
  expect(texts(summary(100, [10, 100, 100, 10], { partial: [1, 0, 0, 1] }))).toContain("1.0 of 4 cores on average");
  // A minute with one such second is nearly right.
  expect(texts(summary(100, [100, 300], { partial: [0.017, 0] }))).toContain("2.0 of 4 cores on average");
});

test("the state in words", () => {
  const { container } = summary(1000, [1]);
  expect(stateText(container, 1000 + 3 * 3600)).toBe("running 3 h");
  const ended = { ...container, state: "ended" as const, started: 1000, ended: 1012, exit_code: 137, oom_killed: true };
  expect(stateText(ended, 5000)).toBe("exited 137, out of memory, after 12 s");
  expect(stateText({ ...ended, exit_code: null, oom_killed: false }, 5000)).toBe("ended after 12 s");
});
