// The view of the container page, as its address encodes it. A link reproduces a view.
//
// `from` and `to` are the range of the charts, `t` is the instant of the tables,
// `sel` the process that all panels are limited to, `pin` the panel shown large,
// `vs` the container to compare with, `show` the thing in the side panel, `root` the name of
// the processes at whose top the tree begins (as in the page of the Python system), `step` the
// length of the slots of a past range, in seconds; by default the server chooses. Without `from`
// and `t` the page is live and shows the last `span` seconds.

import { formatThing, parseThing, type Thing } from "./thing";

export const SPANS = [60, 300, 900, 3600] as const;
export const DEFAULT_SPAN = 300;

/** Seconds shown around an instant if a link has no range. */
const AROUND = 300;

/** Lengths of a slot that can be chosen, in seconds. */
const STEPS = [1, 10, 60, 600, 3600, 21_600, 86_400] as const;
const MAX_STEP = 86_400;
/** Bounds of the number of slots of a range; the upper one is the server's. */
const MIN_SLOTS = 2;
const MAX_SLOTS = 2000;

/** The steps that make sense for a range of `seconds`. */
export const stepsFor = (seconds: number): number[] => STEPS.filter((step) => seconds / step >= MIN_SLOTS && seconds / step <= MAX_SLOTS);

/** Longest name of a root, in characters. */
const MAX_ROOT = 255;

export interface View {
  from: number | null;
  to: number | null;
  at: number | null;
  process: string | null;
  pin: string | null;
  vs: string | null;
  /** The thing in the side panel. */
  thing: Thing | null;
  root: string | null;
  /** Null: the server chooses. */
  step: number | null;
  span: number;
}

export const LIVE: View = { from: null, to: null, at: null, process: null, pin: null, vs: null, thing: null, root: null, step: null, span: DEFAULT_SPAN };

export function isLive(view: View): boolean {
  return view.from === null && view.at === null;
}

/** Whether `text` is a valid container id, by the server's rule. */
export const isId = (text: string): boolean => /^[!"$&-.0->@-~]{1,255}$/.test(text);

function number(search: URLSearchParams, name: string): number | null {
  const text = search.get(name);
  if (text === null || text.trim() === "") return null;
  const value = Number(text);
  return Number.isFinite(value) && value >= 0 ? value : null;
}

/** Parses an address. Ignores invalid values, so every link shows something. */
export function parseView(text: string): View {
  const search = new URLSearchParams(text);
  let from = number(search, "from");
  let to = number(search, "to");
  const at = number(search, "t");
  if (from === null || to === null || to <= from) {
    from = to = null;
    if (at !== null) {
      from = Math.max(0, at - AROUND / 2);
      to = at + AROUND / 2;
    }
  }
  const span = number(search, "span");
  const step = number(search, "step");
  const vs = search.get("vs") ?? "";
  return {
    from,
    to,
    at,
    process: search.get("sel") || null,
    pin: search.get("pin") || null,
    vs: isId(vs) ? vs : null,
    thing: parseThing(search.get("show") ?? ""),
    root: search.get("root")?.slice(0, MAX_ROOT) || null,
    step: step !== null && Number.isInteger(step) && step >= 1 && step <= MAX_STEP ? step : null,
    span: span !== null && span >= 10 && span <= 86_400 ? Math.round(span) : DEFAULT_SPAN,
  };
}

/** Seconds for an address: whole, or with milliseconds if there are any. */
function seconds(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}

/** The search part of an address with its `?`, or an empty string. */
export function formatView(view: View): string {
  const search = new URLSearchParams();
  if (view.from !== null && view.to !== null) {
    search.set("from", seconds(view.from));
    search.set("to", seconds(view.to));
  }
  if (view.at !== null) search.set("t", seconds(view.at));
  if (view.process !== null) search.set("sel", view.process);
  if (view.pin !== null) search.set("pin", view.pin);
  if (view.vs !== null) search.set("vs", view.vs);
  if (view.thing !== null) search.set("show", formatThing(view.thing));
  if (view.root !== null) search.set("root", view.root);
  if (view.step !== null) search.set("step", String(view.step));
  if (view.span !== DEFAULT_SPAN) search.set("span", String(view.span));
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

/** Moves `[from, to]` so that `at` is inside, without changing its width. */
export function follow(from: number, to: number, at: number): [number, number] {
  const width = to - from;
  if (at < from) return [at - width / 10, at - width / 10 + width];
  if (at >= to) return [at + width / 10 - width, at + width / 10];
  return [from, to];
}
