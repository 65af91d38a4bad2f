// Reduces the number of points for small charts: 2,000 slots on 80 pixels would be
// a smear. Each group keeps its lowest and its highest point, in order, so no spike
// is lost. A gap stays a gap.

import type { Series } from "./units";

export interface Point {
  index: number;
  value: number | null;
}

/** Reduces `values` to roughly `max` points. */
export function thin(values: Series, max: number): Point[] {
  const points: Point[] = [];
  if (values.length <= max) {
    values.forEach((value, index) => points.push({ index, value }));
    return points;
  }
  const groups = Math.max(1, Math.floor(max / 2));
  for (let group = 0; group < groups; group++) {
    const from = Math.floor((group * values.length) / groups);
    const to = Math.floor(((group + 1) * values.length) / groups);
    let low = -1;
    let high = -1;
    let gap = -1;
    for (let i = from; i < to; i++) {
      const value = values[i] ?? null;
      if (value === null) {
        gap = i;
        continue;
      }
      if (low < 0 || value < (values[low] ?? 0)) low = i;
      if (high < 0 || value > (values[high] ?? 0)) high = i;
    }
    // A group with a missing value keeps one, at the position of the gap.
    const indexes = [...new Set([low, high, gap])].filter((i) => i >= 0).sort((a, b) => a - b);
    for (const index of indexes) points.push({ index, value: values[index] ?? null });
  }
  return points;
}
