// Series on top of each other. uPlot draws lines and fills to zero, so a stack is
// drawn as running sums, the highest first, each covering the foot of the last.

import type { Series } from "../units";

/** Running sums of `series`, from the first upwards. A slot where all are unknown stays unknown. */
export function stack(series: readonly Series[]): (number | null)[][] {
  const sums: (number | null)[][] = [];
  let below: (number | null)[] = [];
  for (const values of series) {
    const sum = values.map((value, i) => {
      const foot = below[i] ?? null;
      return value === null && foot === null ? null : (value ?? 0) + (foot ?? 0);
    });
    sums.push(sum);
    below = sum;
  }
  return sums;
}
