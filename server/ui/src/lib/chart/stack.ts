// Stacked series. uPlot fills from a line down to zero, so a stack is drawn as
// running sums, the highest first. Each area covers the lower part of the previous one.

import type { Series } from "../units";

/** Running sums of `series`, from the first upwards. A slot that is null in all of them stays null. */
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
