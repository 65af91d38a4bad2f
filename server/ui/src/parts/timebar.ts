// The arithmetic of the time bar: what a press of the pointer takes hold of, and
// the shapes that it draws.

import type { Life } from "../lib/api/types";

export type Grip = "handle" | "from" | "to" | "brush" | "new";

/** Pixels around an edge that still take hold of it. */
const NEAR = 7;

export interface Places {
  /** Place of the handle, or of the live end. */
  handle: number;
  from: number;
  to: number;
}

/** What is under the pointer at `x`. The handle lies above the brush, its edges above its body. */
export function grip(x: number, places: Places): Grip {
  if (Math.abs(x - places.handle) <= NEAR) return "handle";
  if (Math.abs(x - places.from) <= NEAR) return "from";
  if (Math.abs(x - places.to) <= NEAR) return "to";
  return x > places.from && x < places.to ? "brush" : "new";
}

/** Where `at` is on a bar of `width` pixels over `[first, last]`. */
export function place(at: number, first: number, last: number, width: number): number {
  const share = (at - first) / Math.max(1e-3, last - first);
  return Math.min(1, Math.max(0, share)) * width;
}

/** The moment at pixel `x`. */
export function instant(x: number, first: number, last: number, width: number): number {
  return first + (Math.min(width, Math.max(0, x)) / Math.max(1, width)) * (last - first);
}

/** The area of CPU over the whole life, as a path; and the spans that are not known. */
export function lifeShape(
  life: Life,
  first: number,
  last: number,
  width: number,
  height: number,
): { area: string; gaps: [number, number][] } {
  const top = Math.max(1, ...life.cpu.map((value) => value ?? 0));
  let area = "";
  const gaps: [number, number][] = [];
  life.cpu.forEach((value, i) => {
    const start = Math.max(first, life.first + i * life.step);
    const end = Math.min(last, life.first + (i + 1) * life.step);
    if (end <= start) return;
    const left = place(start, first, last, width);
    const right = place(end, first, last, width);
    if (value === null || (life.covered[i] ?? 0) <= 0) {
      const before = gaps[gaps.length - 1];
      if (before !== undefined && Math.abs(before[1] - left) < 0.01) before[1] = right;
      else gaps.push([left, right]);
      return;
    }
    const y = height - (value / top) * height;
    area += `M${left.toFixed(2)} ${height}V${y.toFixed(2)}H${right.toFixed(2)}V${height}Z`;
  });
  return { area, gaps };
}
