import type { Series } from "../units";

/** One thing that a chart shows over time. */
export interface Line {
  key: string;
  label: string;
  colour: string;
  values: Series;
  /** Part of the stack, or a line of its own; a limit is dashed, as is what is of another container. */
  kind: "stack" | "area" | "line" | "limit" | "other";
  /** Dashes that tell two of another container apart. */
  dash?: readonly number[];
  /** What a click on its name chooses; nothing when absent. */
  choice?: string | null;
}
