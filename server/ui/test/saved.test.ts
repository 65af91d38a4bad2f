import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { usersOf } from "../src/lib/users";
import { applyDifference, leftOutText, savedProcess, savedSummary, unpack, useSaved, type Saved } from "../src/lib/saved";

const answers = {
  version: 2,
  made: 500,
  range: [100, 103],
  summary: { range: { from: 100, to: 103, step: 1, slots: 3 }, processes: ["all"], files: { in: [1, 2, 3], rows: ["a", "b"] } },
  moments: [{}, { processes: ["second"], files: { rows: [] } }, { processes: [] }],
  note: null,
  lanes: null,
  details: {
    processes: [{ life: "7-123", summary: { processes: ["one"] } }],
    files: [{ path: "/a", series: { rows: 1 }, table: { rows: ["user"], total: { rows: 3 } } }],
    peers: [{ protocol: "tcp", role: "client", port: 5432, remote: "db", series: { rows: 2 }, table: { rows: [], total: { rows: 0 } } }],
    left_out: { processes: 41, files: 0, peers: 2 },
  },
} as unknown as Saved;

describe("a saved file", () => {
  test("is unpacked", async () => {
    const text = gzipSync(JSON.stringify(answers)).toString("base64");
    expect(await unpack(`\n${text}\n`)).toEqual(answers);
    const newer = gzipSync(JSON.stringify({ ...answers, version: 3 })).toString("base64");
    await expect(unpack(newer)).rejects.toThrow("version 3");
  });

  test("answers for the range and for each moment", () => {
    expect(savedSummary(answers, null)).toBe(answers.summary);
    const second = savedSummary(answers, 101) as unknown as { processes: string[]; files: { in: number[]; rows: string[] } };
    expect(second.processes).toEqual(["second"]);
    expect(second.files).toEqual({ in: [1, 2, 3], rows: [] });
    expect(savedSummary(answers, 100)).toEqual(answers.summary);
    expect(savedSummary(answers, 999)?.processes).toEqual([]);
    expect(savedSummary({ ...answers, moments: [] }, 101)).toBeNull();
  });

  test("differences replace lists as a whole", () => {
    expect(applyDifference({ a: { b: 1, c: 2 } }, { a: { "": ["b"], d: 3 } })).toEqual({ a: { c: 2, d: 3 } });
    expect(applyDifference({ a: [1, 2], b: { c: 1, d: 2 } }, { a: [3], b: { d: 4 } })).toEqual({ a: [3], b: { c: 1, d: 4 } });
  });

  test("answers about a process, a file and a peer, and says that it lacks others", async () => {
    expect(savedProcess(answers, "7-123-2")?.processes).toEqual(["one"]);
    expect(savedProcess(answers, "7-1234-2")).toBeNull();
    useSaved(answers);
    try {
      const range = { from: 100, to: 103 };
      const { signal } = new AbortController();
      expect(await usersOf("c", { kind: "file", path: "/a" }, range, signal)).toEqual({ series: { rows: 1 }, rows: ["user"], total: 3 });
      const peer = { kind: "peer" as const, protocol: "tcp", role: "client", port: 5432, remote: "db" };
      expect((await usersOf("c", peer, range, signal)).series.rows).toBe(2);
      await expect(usersOf("c", { ...peer, port: 1 }, range, signal)).rejects.toThrow("ask for a link");
    } finally {
      useSaved(null);
    }
  });

  test("says in a sentence what it leaves out", () => {
    expect(leftOutText(answers)).toBe("It leaves out lanes (too many for a file), details of 41 of 42 processes, details of 2 of 3 peers.");
    const whole = { ...answers, lanes: {}, details: { ...answers.details, left_out: { processes: 0, files: 0, peers: 0 } } } as unknown as Saved;
    expect(leftOutText(whole)).toBe("");
  });
});
