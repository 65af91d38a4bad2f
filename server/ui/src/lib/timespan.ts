// Times that are typed: `12:03-12:05`, `12:03`, `12:03+5m`, `-2h`, with a date if needed.

export type Typed =
  | { kind: "range"; from: number; to: number }
  | { kind: "instant"; at: number }
  /** The last seconds: live if the container runs. */
  | { kind: "last"; seconds: number };

export interface Surroundings {
  /** First and last moment that can have data, in seconds since the Unix epoch. */
  bounds: readonly [number, number];
  /** Times are typed in UTC, else in the browser's time zone. */
  utc: boolean;
}

const UNITS: Record<string, number> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400 };
const DATE = String.raw`(?:(\d{4})-(\d{1,2})-(\d{1,2})[T ]\s*)?`;
const TIME = String.raw`(\d{1,2}):(\d{2})(?::(\d{2}))?`;
const MOMENT = new RegExp(`^${DATE}${TIME}$`);

/** `90s`, `5m`, `2h`, `1d12h`, in seconds. Null if it is no duration. */
export function parseDuration(text: string): number | null {
  const compact = text.replaceAll(" ", "");
  if (!/^(\d+(\.\d+)?(min|s|m|h|d))+$/.test(compact)) return null;
  let seconds = 0;
  for (const [, number, unit] of compact.matchAll(/(\d+(?:\.\d+)?)(min|s|m|h|d)/g)) seconds += Number(number) * (UNITS[unit ?? ""] ?? 0);
  return seconds > 0 && seconds <= 366 * 86_400 ? seconds : null;
}

interface Clock {
  hour: number;
  minute: number;
  second: number;
}

/** Seconds since the Unix epoch. `Date` takes a day before the first of a month as one of the month before. */
function at(year: number, month: number, day: number, { hour, minute, second }: Clock, utc: boolean): number {
  return (utc ? Date.UTC(year, month, day, hour, minute, second) : new Date(year, month, day, hour, minute, second).getTime()) / 1000;
}

/** A moment. Without a date it is on the last day on which it is not after `latest`. */
function moment(text: string, latest: number, utc: boolean): number | null {
  if (text === "now") return latest;
  const found = MOMENT.exec(text);
  if (found === null) return null;
  const [, year, month, day, ...time] = found.map((part) => (part === undefined ? 0 : Number(part)));
  const [hour = 0, minute = 0, second = 0] = time;
  if (hour > 24 || minute > 59 || second > 59) return null;
  const clock = { hour, minute, second };
  if (year) {
    const days = new Date(Date.UTC(year, month ?? 0, 0)).getUTCDate();
    return month === undefined || day === undefined || month < 1 || month > 12 || day < 1 || day > days ? null : at(year, month - 1, day, clock, utc);
  }
  const end = new Date(latest * 1000);
  const on = (back: number): number =>
    utc ? at(end.getUTCFullYear(), end.getUTCMonth(), end.getUTCDate() - back, clock, utc) : at(end.getFullYear(), end.getMonth(), end.getDate() - back, clock, utc);
  return on(0) <= latest ? on(0) : on(1);
}

/** What was typed, or a sentence about what can be typed. */
export function parseTime(text: string, { bounds, utc }: Surroundings): Typed | string {
  const typed = text.trim().replace(/[–—]/g, "-").toLowerCase().replace(/(\d)t(\d)/g, "$1 $2");
  const latest = bounds[1];
  if (typed.startsWith("-")) {
    const seconds = parseDuration(typed.slice(1));
    return seconds === null ? "type a duration, such as -2h, -90s or -1d12h" : { kind: "last", seconds };
  }
  const single = moment(typed, latest, utc);
  if (single !== null) return { kind: "instant", at: single };
  const plus = typed.lastIndexOf("+");
  if (plus > 0) {
    const from = moment(typed.slice(0, plus).trim(), latest, utc);
    const seconds = parseDuration(typed.slice(plus + 1).trim());
    if (from !== null && seconds !== null) return { kind: "range", from, to: from + seconds };
  }
  // A date has hyphens, too: try each of them as the one between two moments.
  for (let hyphen = typed.indexOf("-"); hyphen > 0; hyphen = typed.indexOf("-", hyphen + 1)) {
    const first = typed.slice(0, hyphen).trim();
    const second = typed.slice(hyphen + 1).trim();
    const from = moment(first, latest, utc);
    if (from === null) continue;
    // Without a date the end is on the day of the start, or after midnight.
    const to = second === "now" ? latest : moment(second, from + 86_400, utc);
    if (to !== null && to > from) return { kind: "range", from, to };
  }
  return "type 12:03-12:05, 12:03, 12:03+5m or -2h; with a date 2026-11-24 12:03";
}
