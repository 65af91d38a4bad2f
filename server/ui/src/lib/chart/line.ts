import type { Series } from "../units";

/** One series of a chart. */
export interface Line {
  key: string;
  label: string;
  colour: string;
  values: Series;
  /** Part of the stack, or a separate line. Limits and series of another container (`other`) are dashed. */
  kind: "stack" | "area" | "line" | "limit" | "other";
  /** A share of time, in percent: it has an axis of its own, from 0 to 100 %. */
  isShare?: boolean;
  /** Dash pattern, to distinguish two series of another container. */
  dash?: readonly number[];
  /** Mean over the range, if it is not that of the slots. */
  mean?: number | null;
  /** The process that a click on the label selects. None if absent. */
  choice?: string | null;
}
