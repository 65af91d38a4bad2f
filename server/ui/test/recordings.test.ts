import { expect, test } from "vitest";
import type { Uploaded } from "../src/lib/api/types";
import { lengthOf, lengthText, lossTexts, nameOf, rangeLink, warnings } from "../src/lib/recordings";

test("a file's name becomes a name that the server takes", () => {
  expect(nameOf({ name: "x.scap" })).toBe("x.scap");
  expect(nameOf({ name: "a\nb\u0085c" })).toBe("a b c");
  expect(nameOf({ name: " \t" })).toBe("capture");
  expect([...nameOf({ name: "🦀".repeat(300) })]).toHaveLength(200);
});

test("the length is that of the events, else that of the slots", () => {
  const upload = { from: 10.25, to: 10.593 } as never;
  expect(lengthText(lengthOf({ from: 10, to: 12, upload }))).toBe("343 ms");
  expect(lengthOf({ from: 10, to: 12 } as never)).toBe(2);
  expect(lengthOf({ from: 10, to: 12, upload: { from: null, to: null } as never })).toBe(2);
});

test("a link shows a container at the range of the recording", () => {
  expect(rangeLink({ id: "5961688fa2f4" }, 10, 12)).toBe("/c/5961688fa2f4?from=10&to=12");
});

test("losses are sentences with their figures", () => {
  expect(lossTexts([{ reason: "capture_drops", count: 7, bytes: 0 }])).toEqual(["capture drops: 7×"]);
  const [unknown] = lossTexts([{ reason: "", count: 1, bytes: 2048 }]);
  expect(unknown).toContain("unknown reason: 1×, 2");
});

test("what is wrong with an upload is said", () => {
  const good = { containers_count: 1, damage: null, refused: [], refused_count: 0, stored: 3, known: 0 } as unknown as Uploaded;
  expect(warnings(good)).toEqual([]);
  expect(warnings({ ...good, containers_count: 0, stored: 0 })[0]).toContain("nothing is stored");
  expect(warnings({ ...good, damage: "cut short at byte 7" })[0]).toContain("cut short at byte 7");
  expect(warnings({ ...good, stored: 0, known: 3 })[0]).toContain("counts once");
  const refused = [{ container: "c1", reason: "it belongs to others" }] as never;
  expect(warnings({ ...good, refused, refused_count: 9 })[0]).toContain("9 seconds are not stored");
});
