// How high the lanes will be, from the processes of a summary: what is below them keeps its place
// when they arrive.

import type { ProcessInfo } from "../api/types";
import { lifeOf } from "../tree";
import { GROUP_ROW, HEAD, MAX_HEIGHT, MIN_FOLD, MIN_HEIGHT, ROW } from "./layout";

/** In CSS pixels. Exact unless the summary lacks processes, or some failed. */
export function expectedHeight(processes: readonly ProcessInfo[]): number {
  const lives = new Map<string, { parent: number; names: string[] }>();
  for (const { key, pid, parent, name } of processes) {
    const life = pid === 0 ? key : lifeOf(key);
    const known = lives.get(life);
    if (known === undefined) lives.set(life, { parent, names: [name] });
    else known.names.push(name);
  }
  const siblings = new Map<string, number>();
  for (const { parent, names } of lives.values()) {
    const group = `${parent} ${names.join(" ")}`;
    siblings.set(group, (siblings.get(group) ?? 0) + 1);
  }
  let height = HEAD;
  for (const count of siblings.values()) height += count < MIN_FOLD ? count * ROW : GROUP_ROW;
  return Math.min(MAX_HEIGHT, Math.max(MIN_HEIGHT, height));
}
