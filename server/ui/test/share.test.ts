import { describe, expect, test } from "vitest";
import type { ContainerItem, Stored } from "../src/lib/api/types";
import { extentText, fadingText, wholeMinutes } from "../src/lib/share";

const stored: Stored = { seconds: 3600, minutes: 2 * 86_400, hours: 120 * 86_400 };
const container = (recordings: string[]): ContainerItem => ({ recordings }) as unknown as ContainerItem;

describe("a shared link", () => {
  test("is named by its range in whole minutes", () => {
    expect(wholeMinutes(61, 119)).toEqual([60, 120]);
    expect(wholeMinutes(60, 120)).toEqual([60, 120]);
    expect(extentText({ from: 0, to: 360 }, true)).toMatch(/^1970-01-01 00:00:00 – 00:06:00$/);
    expect(extentText({ from: null, to: null }, true)).toBe("whole life");
  });

  test("says what expires before it does", () => {
    expect(fadingText(container([]), stored, 1)).toContain("seconds for 1 h. After that the link shows whole minutes only");
    expect(fadingText(container([]), stored, 7)).toContain("minutes for 2 d. After that the link shows whole hours only");
    expect(fadingText(container([]), { ...stored, seconds: 86_400 }, 1)).toBe("");
    expect(fadingText(container(["a capture"]), stored, 7)).toBe("");
    expect(fadingText(container([]), null, 7)).toBe("");
  });
});
