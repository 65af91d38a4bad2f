// The states of the time budget: names, colours and order, the same everywhere.

import type { Summary } from "./api/types";
import type { Line } from "./chart/line";

interface State {
  label: string;
  colour: string;
}

/** From what is done to what is not: running at the bottom of the stack, idle at the top. */
export const STATES: Record<string, State> = {
  running: { label: "running", colour: "#009e73" },
  core: { label: "waiting for a core", colour: "#d55e00" },
  disk: { label: "for a disk", colour: "#e69f00" },
  network: { label: "for the network", colour: "#56b4e9" },
  lock: { label: "for a lock", colour: "#cc79a7" },
  pipe: { label: "for a pipe", colour: "#7b68c8" },
  other: { label: "for something else", colour: "#88705a" },
  child: { label: "for a child", colour: "#a9bccf" },
  events: { label: "for events", colour: "#c3c8cf" },
  sleep: { label: "sleeping", colour: "#d9dce1" },
  stopped: { label: "stopped", colour: "#8a8f98" },
};

/** States in which nobody does anything until something comes. */
const IDLE = new Set(["child", "events", "sleep", "stopped"]);

const ORDER = Object.keys(STATES);

/** The stacked areas. Idle time is left out unless `idle`. */
export function budgetLines(time: Summary["time"], idle: boolean): Line[] {
  const shown = time.states.filter((item) => idle || !IDLE.has(item.state));
  return [...shown]
    .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state))
    .map((item) => {
      const { label, colour } = STATES[item.state] ?? { label: item.state, colour: "#8a8f98" };
      return { key: item.state, label, colour, values: item.values, kind: "stack", choice: null };
    });
}

/** Waits of a process for something that was asked for, ns: all but the idle ones. */
export function heldUp(waits: Record<string, number>): number {
  return Object.entries(waits).reduce((sum, [state, ns]) => (IDLE.has(state) ? sum : sum + ns), 0);
}

/** The waits of a process, the longest first, as `text` writes their lengths. */
export function waitsText(waits: Record<string, number>, text: (ns: number) => string): string {
  const sorted = Object.entries(waits).sort((a, b) => b[1] - a[1]);
  return sorted.map(([state, ns]) => `${STATES[state]?.label ?? state} ${text(ns)}`).join(", ");
}
