// Value axes: ticks at round numbers of the unit, and a scale from zero to slightly
// above the highest value.

import type uPlot from "uplot";

const DECIMAL = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500].flatMap((n) => [n, n * 1e3, n * 1e6, n * 1e9]);
const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** A scale from 0 to the highest value, but at least to `minTop`. */
export function fromZero(minTop: number): uPlot.Scale {
  return { range: (_u, _min, max) => [0, Math.max(minTop, (max ?? 0) * 1.05)] };
}

export function valueAxis(unit: "bytes" | "number", format: (value: number) => string): uPlot.Axis {
  return {
    incrs: (unit === "bytes" ? BINARY : DECIMAL).sort((a, b) => a - b),
    values: (_u, ticks) => ticks.map(format),
  };
}
