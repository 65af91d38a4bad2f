// Formats numbers for people. Bytes use binary units (KiB), CPU is in percent of
// one core (100 = one core), times are seconds since the Unix epoch.

export type Series = readonly (number | null)[];

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;

/** Shown in place of an unknown number, never a zero. */
export const UNKNOWN = "–";

function digits(value: number): string {
  const size = Math.abs(value);
  const fraction = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
  return value.toFixed(fraction);
}

/** `1,234,567` */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  return WHOLE.format(Math.round(value));
}

/** Made once: `toLocaleString` looks its format up each time. */
const WHOLE = new Intl.NumberFormat("en-US");

/** `1.5 MiB` */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  let power = 0;
  let rest = value;
  while (Math.abs(rest) >= 1023.5 && power < BINARY.length - 1) {
    rest /= 1024;
    power += 1;
  }
  return `${power === 0 ? Math.round(rest) : digits(rest)} ${BINARY[power]}`;
}

/** `1.5 MiB/s` */
export function rate(value: number | null | undefined): string {
  const text = bytes(value);
  return text === UNKNOWN ? text : `${text}/s`;
}

/** `213 %`. Small values keep a digit, so that they do not look like zero. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  if (value > 0 && value < 0.05) return "< 0.1 %";
  return `${value >= 10 || value === 0 ? Math.round(value) : value.toFixed(1)} %`;
}

/** Cores from percent of one core: `2.1`. */
export function cores(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const number = value / 100;
  return number >= 10 ? number.toFixed(0) : number.toFixed(number >= 1 || number === 0 ? 1 : 2);
}

/** A duration of CPU or wall time: `1.25 ms`, `12.3 s`, `3 min 20 s`, `5 h 12 min`, `3 d 4 h`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN;
  const size = Math.abs(seconds);
  if (size === 0) return "0 s";
  if (size < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (size < 1) return `${digits(seconds * 1000)} ms`;
  if (size < 60) return `${digits(seconds)} s`;
  const whole = Math.floor(seconds);
  if (whole < 3600) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86_400) return pair(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return pair(Math.floor(whole / 86_400), "d", Math.floor((whole % 86_400) / 3600), "h");
}

function pair(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** CPU time of a table cell, from nanoseconds. */
export function cpuTime(ns: number | null | undefined): string {
  return ns === null || ns === undefined ? UNKNOWN : duration(ns / 1e9);
}

interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  ms: number;
}

function parts(at: number, utc: boolean): Parts {
  const d = new Date(Math.round(at * 1000));
  return utc
    ? {
        year: d.getUTCFullYear(),
        month: d.getUTCMonth() + 1,
        day: d.getUTCDate(),
        hour: d.getUTCHours(),
        minute: d.getUTCMinutes(),
        second: d.getUTCSeconds(),
        ms: d.getUTCMilliseconds(),
      }
    : {
        year: d.getFullYear(),
        month: d.getMonth() + 1,
        day: d.getDate(),
        hour: d.getHours(),
        minute: d.getMinutes(),
        second: d.getSeconds(),
        ms: d.getMilliseconds(),
      };
}

const two = (n: number): string => String(n).padStart(2, "0");

/** `12:04:31` */
export function clock(at: number, utc: boolean): string {
  const p = parts(at, utc);
  return `${two(p.hour)}:${two(p.minute)}:${two(p.second)}`;
}

/** `2026-11-24` */
export function date(at: number, utc: boolean): string {
  const p = parts(at, utc);
  return `${p.year}-${two(p.month)}-${two(p.day)}`;
}

/** `2026-11-24 12:04:31` */
export function moment(at: number | null | undefined, utc: boolean): string {
  return at === null || at === undefined ? UNKNOWN : `${date(at, utc)} ${clock(at, utc)}`;
}

/** Like `moment`, without the date if `to` is on the same day. */
export function near(at: number, to: number, utc: boolean): string {
  return date(at, utc) === date(to, utc) ? clock(at, utc) : moment(at, utc);
}

/** `UTC+02:00`: the time zone of a picture, which may be read in another one. */
export function zone(at: number, utc: boolean): string {
  const ahead = utc ? 0 : -new Date(at * 1000).getTimezoneOffset();
  if (ahead === 0) return "UTC";
  const minutes = Math.abs(ahead);
  return `UTC${ahead < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** `6 h ago`, in one unit. */
export function ago(seconds: number): string {
  if (seconds < 1.5) return "now";
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** Labels of a time axis, as short as keeps the ticks distinguishable. */
export function axisTimes(ticks: readonly number[], utc: boolean): string[] {
  const step = ticks.length > 1 ? (ticks[1] ?? 0) - (ticks[0] ?? 0) : 1;
  return ticks.map((at) => {
    const p = parts(at, utc);
    const midnight = p.hour === 0 && p.minute === 0 && p.second === 0 && p.ms === 0;
    if (step >= 86_400 || (midnight && step >= 60)) return `${two(p.month)}-${two(p.day)}`;
    if (step >= 60) return `${two(p.hour)}:${two(p.minute)}`;
    if (step >= 1) return `${two(p.hour)}:${two(p.minute)}:${two(p.second)}`;
    return `${two(p.second)}.${String(p.ms).padStart(3, "0")}`;
  });
}
