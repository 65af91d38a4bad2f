// The event lane: what happened to the container, as icons.

import type { EventInfo, Mark, Summary } from "../api/types";
import { knownPart, mean, total } from "../slots";
import { heldBack, heldBackOf } from "../throttled";
import { count, percent } from "../units";

export type EventIcon = "oom" | "end" | "restart" | "start" | "failures" | "throttled";

export interface LaneEvent {
  icon: EventIcon;
  at: number;
  /** End of a span, such as that of throttling. */
  to: number;
  text: string;
}

/** The most important first. */
export const ICONS: Record<EventIcon, { glyph: string; meaning: string }> = {
  oom: { glyph: "✖", meaning: "killed: out of memory" },
  end: { glyph: "■", meaning: "container ended" },
  restart: { glyph: "↻", meaning: "container restarted" },
  start: { glyph: "▶", meaning: "container started" },
  failures: { glyph: "▲", meaning: "connections failed" },
  throttled: { glyph: "‖", meaning: "held back by its CPU limit" },
};

const ORDER = Object.keys(ICONS) as EventIcon[];
/** From this share of a slot's CPU time in percent on, being held back is an event. */
const MIN_THROTTLED = 1;

/** The events of a range, and the starts and ends in it that only the index knows. */
function allEvents({ range, events }: Summary, marks: readonly Mark[]): EventInfo[] {
  const isKnown = (mark: Mark): boolean => events.some((event) => event.kind === mark.kind && Math.abs(event.at - mark.at) < 1);
  const more = marks.filter((mark) => mark.at >= range.from && mark.at < range.to && !isKnown(mark));
  return [...events, ...more.map((mark) => ({ ...mark, detail: "" }))];
}

/**
 * The events of a range. `summary` is about the whole range. `started`: first start of the container.
 * `marks`: its starts and ends by the index.
 */
export function laneEvents(summary: Summary, started: number, marks: readonly Mark[] = []): LaneEvent[] {
  const { range, network, cpu } = summary;
  const names = new Map(summary.processes.map((row) => [row.key, row.name]));
  const list: LaneEvent[] = [];
  for (const event of allEvents(summary, marks)) {
    const at = event.at;
    const who = names.get(event.process ?? "") ?? "a process";
    if (event.kind === "oom_kill") list.push({ icon: "oom", at, to: at, text: `the kernel killed ${who}: out of memory` });
    if (event.kind === "container_end") list.push({ icon: "end", at, to: at, text: `the container ended${event.detail ? ` with ${event.detail}` : ""}` });
    // The index has the first start only to the second.
    const isFirst = at <= started + 1;
    if (event.kind === "container_start") list.push(isFirst ? { icon: "start", at, to: at, text: "the container started" } : { icon: "restart", at, to: at, text: "the container started again" });
  }
  const spans = (values: readonly (number | null)[], least: number, make: (at: number, to: number, values: (number | null)[]) => LaneEvent): void => {
    for (let first = 0; first < values.length; first++) {
      if ((values[first] ?? 0) < least) continue;
      let last = first;
      while (last + 1 < values.length && (values[last + 1] ?? 0) >= least) last++;
      list.push(make(range.from + first * range.step, range.from + (last + 1) * range.step, values.slice(first, last + 1)));
      first = last;
    }
  };
  spans(network.failures, 1, (at, to, values) => {
    const failed = total(values);
    return { icon: "failures", at, to, text: `${count(failed)} ${failed === 1 ? "connection" : "connections"} failed` };
  });
  spans(heldBack(cpu), MIN_THROTTLED, (at, to) => {
    const isOutside = (slot: number): boolean => range.from + slot * range.step < at || range.from + slot * range.step >= to;
    const share = heldBackOf(cpu, (values) => mean(values, 0, isOutside, (slot) => knownPart(summary.covered, slot)));
    return { icon: "throttled", at, to, text: `its CPU limit held back ${percent(share)} of the CPU time that it could have used` };
  });
  return list.sort((a, b) => a.at - b.at || ORDER.indexOf(a.icon) - ORDER.indexOf(b.icon));
}

/** Events that are drawn as one icon, as they are too close to each other. */
export interface Cluster {
  /** The most important one, which gives the icon. */
  main: LaneEvent;
  all: LaneEvent[];
}

/** Joins events that are less than `distance` seconds apart. */
export function clusters(events: readonly LaneEvent[], distance: number): Cluster[] {
  const found: Cluster[] = [];
  let start = -Infinity;
  for (const event of events) {
    const last = found.at(-1);
    if (last === undefined || event.at - start >= distance) {
      found.push({ main: event, all: [event] });
      start = event.at;
      continue;
    }
    last.all.push(event);
    if (ORDER.indexOf(event.icon) < ORDER.indexOf(last.main.icon)) last.main = event;
  }
  return found;
}
