// Geometry of the time bar: what the pointer grips, and the shapes to draw.

import type { Life } from "../lib/api/types";
import { lastCovered } from "../lib/slots";

export type Grip = "handle" | "from" | "to" | "brush" | "new";

/** Distance in pixels within which the pointer grips an edge. */
const GRIP_TOLERANCE = 7;

export interface GripPositions {
  /** Position of the handle, or of the live end. */
  handle: number;
  from: number;
  to: number;
}

/** The part under the pointer at `x`. The handle takes precedence, then the edges of the brush. */
export function grip(x: number, positions: GripPositions): Grip {
  if (Math.abs(x - positions.handle) <= GRIP_TOLERANCE) return "handle";
  if (Math.abs(x - positions.from) <= GRIP_TOLERANCE) return "from";
  if (Math.abs(x - positions.to) <= GRIP_TOLERANCE) return "to";
  return x > positions.from && x < positions.to ? "brush" : "new";
}

/** Position of `at` on a bar of `width` pixels over `[first, last]`. */
export function toPixel(at: number, first: number, last: number, width: number): number {
  const share = (at - first) / Math.max(1e-3, last - first);
  return Math.min(1, Math.max(0, share)) * width;
}

/** The time at pixel `x`. */
export function toTime(x: number, first: number, last: number, width: number): number {
  return first + (Math.min(width, Math.max(0, x)) / Math.max(1, width)) * (last - first);
}

/** What the bar shows of a life, in pixels. */
export interface LifeShape {
  /** The CPU area, as an SVG path. */
  area: string;
  gaps: [number, number][];
  /** After the newest data of a container that runs: what the agent has not delivered yet. */
  coming: [number, number] | null;
}

/** The shapes of a life. `isRunning`: data that is missing at its end is still on its way, which is no gap. */
export function lifeShape(life: Life, first: number, last: number, width: number, height: number, isRunning = false): LifeShape {
  const top = Math.max(1, ...life.cpu.map((value) => value ?? 0));
  const arrived = life.first + (lastCovered(life.covered) + 1) * life.step;
  const end = isRunning && arrived > life.first ? Math.min(last, arrived) : last;
  let area = "";
  const gaps: [number, number][] = [];
  life.cpu.forEach((value, i) => {
    const start = Math.max(first, life.first + i * life.step);
    const until = Math.min(end, life.first + (i + 1) * life.step);
    if (until <= start) return;
    const left = toPixel(start, first, last, width);
    const right = toPixel(until, first, last, width);
    if (value === null || (life.covered[i] ?? 0) <= 0) {
      const before = gaps[gaps.length - 1];
      if (before !== undefined && Math.abs(before[1] - left) < 0.01) before[1] = right;
      else gaps.push([left, right]);
      return;
    }
    const y = height - (value / top) * height;
    area += `M${left.toFixed(2)} ${height}V${y.toFixed(2)}H${right.toFixed(2)}V${height}Z`;
  });
  return { area, gaps, coming: end < last ? [toPixel(end, first, last, width), width] : null };
}
