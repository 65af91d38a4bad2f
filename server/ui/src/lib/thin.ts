// Fewer points for small charts. A sparkline of 80 pixels drawn from 2,000 slots
// would be a smear; of each group the lowest and the highest are kept, in their
// order, so that no spike is lost, and a gap stays a gap.

import type { Series } from "./units";

export interface Point {
  index: number;
  value: number | null;
}

/** At most about `most` points of `values`. */
export function thin(values: Series, most: number): Point[] {
  const points: Point[] = [];
  if (values.length <= most) {
    values.forEach((value, index) => points.push({ index, value }));
    return points;
  }
  const groups = Math.max(1, Math.floor(most / 2));
  for (let group = 0; group < groups; group++) {
    const from = Math.floor((group * values.length) / groups);
    const to = Math.floor(((group + 1) * values.length) / groups);
    let low = -1;
    let high = -1;
    let hole = -1;
    for (let i = from; i < to; i++) {
      const value = values[i] ?? null;
      if (value === null) {
        hole = i;
        continue;
      }
      if (low < 0 || value < (values[low] ?? 0)) low = i;
      if (high < 0 || value > (values[high] ?? 0)) high = i;
    }
    // A group of which something is missing says so, at the place of the hole.
    const kept = [...new Set([low, high, hole])].filter((i) => i >= 0).sort((a, b) => a - b);
    for (const index of kept) points.push({ index, value: values[index] ?? null });
  }
  return points;
}
