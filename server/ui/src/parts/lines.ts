// The lines of a stack by process: grouped, named and coloured the same way everywhere.

import type { ProcessInfo } from "../lib/api/types";
import type { Line } from "../lib/chart/line";
import { groupByName, type ProcessSeries } from "../lib/group";
import { processLabel } from "../lib/label";
import { palette } from "../lib/palette";

/** As many as a legend can hold, and as there are colours. */
const MOST = 10;

export function processLines(series: readonly ProcessSeries[], rows: ReadonlyMap<string, ProcessInfo>): Line[] {
  return groupByName(series, MOST).map((group) => {
    const row = group.process === null ? undefined : rows.get(group.process);
    const alike = group.members > 1 ? `${group.name} ×${group.members}` : group.name;
    return {
      key: group.process ?? `alike ${group.name}`,
      label: row === undefined ? alike : processLabel(row),
      colour: palette.colour(group.name),
      values: group.values,
      kind: "stack",
      choice: row === undefined || row.pid === 0 ? null : row.key,
    };
  });
}
