import { expect, test } from "vitest";
import { ellipsize, layOut, type LegendEntry } from "../src/lib/chart/picture";

/** Every character is 7 px wide. */
const measure = (text: string): number => 7 * Array.from(text).length;
const entry = (label: string, value: string): LegendEntry => ({ colour: "#0072b2", label, value, dash: [] });

test("a short text stays whole; a long one is cut to fit and ends in an ellipsis", () => {
  expect(ellipsize("nginx", 35, measure)).toBe("nginx");
  expect(ellipsize("nginx worker", 35, measure)).toBe("ngin…");
  expect(ellipsize("nginx", 6, measure)).toBe("");
  expect(ellipsize("💧💧💧", 14, measure)).toBe("💧…");
});

test("a name of any length is measured only a few times", () => {
  let measured = 0;
  const counted = (text: string): number => {
    measured += text.length;
    return measure(text);
  };
  expect(ellipsize("x".repeat(1_000_000), 70, counted)).toBe(`${"x".repeat(9)}…`);
  expect(measured).toBeLessThan(10_000);
});

test("charts are below each other, and all text is within the width", () => {
  const hostile = "<script>alert(1)</script> ".repeat(20);
  const legend = [entry(hostile, "12 %"), entry("postgres 40", "100 %"), entry("(other)", "1 %")];
  const chart = { label: hostile, width: 300, height: 100, legend };
  const made = layOut([hostile, "2026-11-24 12:00:00 – 12:05:00 UTC"], [chart, { ...chart, label: "memory", width: 280, legend: [] }], measure);
  expect(made.width).toBe(332);
  for (const { text, x, y } of made.texts) {
    expect(x + measure(text)).toBeLessThanOrEqual(316);
    expect(y).toBeLessThan(made.height);
  }
  const [first, second] = made.charts;
  expect(second?.y).toBeGreaterThan((first?.y ?? 0) + 100);
  expect(made.height).toBeGreaterThan((second?.y ?? 0) + 100);
  // The legend is between its chart and the next one, on as many lines as it needs.
  expect(made.swatches).toHaveLength(3);
  const rows = new Set(made.swatches.map(({ y }) => y));
  expect(rows.size).toBe(2);
  for (const y of rows) {
    expect(y).toBeGreaterThan((first?.y ?? 0) + 100);
    expect(y).toBeLessThan(second?.y ?? 0);
  }
  expect(made.texts.map(({ text }) => text)).toContain("memory");
});
