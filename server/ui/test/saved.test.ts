import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { applyDifference, savedSummary, unpack, type Saved } from "../src/lib/saved";

const answers = {
  version: 1,
  made: 500,
  range: [100, 103],
  summary: { range: { from: 100, to: 103, step: 1, slots: 3 }, processes: ["all"], files: { in: [1, 2, 3], rows: ["a", "b"] } },
  moments: [{}, { processes: ["second"], files: { rows: [] } }, { processes: [] }],
  note: null,
} as unknown as Saved;

describe("a saved file", () => {
  test("is unpacked", async () => {
    const text = gzipSync(JSON.stringify(answers)).toString("base64");
    expect(await unpack(`\n${text}\n`)).toEqual(answers);
    const newer = gzipSync(JSON.stringify({ ...answers, version: 2 })).toString("base64");
    await expect(unpack(newer)).rejects.toThrow("version 2");
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
    expect(applyDifference({ a: [1, 2], b: { c: 1, d: 2 } }, { a: [3], b: { d: 4 } })).toEqual({ a: [3], b: { c: 1, d: 4 } });
  });
});
