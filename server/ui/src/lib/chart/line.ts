import type { Series } from "../units";

/** One thing that a chart shows over time. */
export interface Line {
  key: string;
  label: string;
  colour: string;
  values: Series;
  /** Part of the stack, or a line of its own; a limit is dashed. */
  kind: "stack" | "area" | "line" | "limit";
  /** What a click on its name chooses; nothing when absent. */
  choice?: string | null;
}
