// Series of processes for a chart: many short ones of the same name are one, and
// what does not fit into the legend is one grey rest. Sums stay what they were.

import { OTHER } from "./palette";
import { sum } from "./slots";
import type { Series } from "./units";

export interface ProcessSeries {
  process: string;
  name: string;
  values: (number | null)[];
}

export interface Group {
  /** Key of the process, when the group is one. */
  process: string | null;
  name: string;
  /** How many series are in it. */
  members: number;
  values: (number | null)[];
}

/** From how many series of one name on they are shown as one. */
const ALIKE = 3;

/** At most `most` groups, the largest first, and behind them `(other)`. */
export function groupByName(series: readonly ProcessSeries[], most: number): Group[] {
  const names = new Map<string, ProcessSeries[]>();
  const rest: Series[] = [];
  for (const each of series) {
    if (each.process === OTHER) {
      rest.push(each.values);
      continue;
    }
    const known = names.get(each.name);
    if (known === undefined) names.set(each.name, [each]);
    else known.push(each);
  }
  const groups: Group[] = [];
  for (const [name, alike] of names) {
    if (alike.length < ALIKE) {
      groups.push(...alike.map((one) => ({ process: one.process, name, members: 1, values: one.values })));
    } else {
      groups.push({ process: null, name, members: alike.length, values: sum(alike.map((one) => one.values)) });
    }
  }
  const size = (group: Group): number => group.values.reduce((total: number, value) => total + (value ?? 0), 0);
  groups.sort((a, b) => size(b) - size(a));
  rest.push(...groups.splice(most).map((group) => group.values));
  if (rest.length > 0) groups.push({ process: OTHER, name: OTHER, members: 1, values: sum(rest) });
  return groups;
}
