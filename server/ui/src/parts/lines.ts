// Lines of a stack by name of the process. Names and colours are the same in all charts.

import type { ProcessInfo } from "../lib/api/types";
import type { Line } from "../lib/chart/line";
import { processLabel } from "../lib/label";
import { OTHER, palette } from "../lib/palette";
import { count, type Series } from "../lib/units";

/** All processes of one name. */
export interface NameSeries {
  /** Key of the process, if there is one only. */
  process?: string | null;
  name: string;
  count: number;
  values: Series;
}

export function nameLines(series: readonly NameSeries[], rows: ReadonlyMap<string, ProcessInfo>): Line[] {
  return series.map(({ process, name, count: members, values }) => {
    const row = process == null ? undefined : rows.get(process);
    const isSingle = row !== undefined && row.pid !== 0;
    return {
      // Other lines of a chart have keys of their own, which a process may have as its name.
      key: `name ${name}`,
      label: isSingle ? processLabel(row) : members > 1 && name !== OTHER ? `${name} ×${count(members)}` : name,
      colour: palette.colour(name),
      values,
      kind: "stack",
      choice: isSingle ? row.key : null,
    };
  });
}
