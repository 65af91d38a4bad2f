// What the page says about a host.

import { BASE } from "./base";
import type { HostItem } from "./api/types";
import { wordOf } from "./complete";
import { ago, duration } from "./units";

/** Difference of two clocks in seconds that matters: slots are one second long. */
const CLOCK_TOLERANCE = 2;

/** `silent, 3 min ago`, `dropping`, `sending`. */
export function hostState(host: HostItem): string {
  switch (host.state) {
    case "silent":
      return `silent, ${ago(host.silent_for)}`;
    case "dropping":
      return "dropping data";
    case "counted_twice":
      return "counted twice";
    case "clock_off":
      return "clock is off";
    case "sending":
      return "sending";
  }
}

/** Class of the state's colour. */
export function stateClass(host: HostItem): string {
  return host.state === "sending" ? "running" : host.state === "silent" ? "silent bad" : "bad";
}

export const isClockOff = (host: HostItem): boolean => Math.abs(host.clock_offset ?? 0) > CLOCK_TOLERANCE;

/** `as the server's`, `12 s ahead of the server's`. */
export function clockText(host: HostItem): string {
  const offset = host.clock_offset;
  if (offset === null || offset === undefined) return "not known yet";
  if (!isClockOff(host)) return "as the server's";
  return `${duration(Math.round(Math.abs(offset)))} ${offset > 0 ? "ahead of" : "behind"} the server's`;
}

/** The list of the host's containers. */
export function containersLink(host: HostItem): string {
  return `${BASE}/?${new URLSearchParams({ search: wordOf("host", `=${host.host}`) })}`;
}
