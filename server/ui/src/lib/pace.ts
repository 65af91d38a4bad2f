// How often a live page draws and asks. A view of an hour moves by less than a pixel in a second, and the sums of its
// tables change by less than a thousandth.

/** Width in pixels of the charts of a usual page. A view moves by one of them from one drawing to the next. */
const CHART_WIDTH = 600;
/** Intervals in ms. */
const MIN_DRAW = 1000;
const MAX_DRAW = 10_000;
/** A table is asked for again when its view has moved by this share. */
const TABLE_SHARE = 1 / 300;
/** The same for the whole summary. */
const WHOLE_SHARE = 1 / 100;
/** Longest delay in ms until what nobody can see is asked for again. */
export const UNSEEN_INTERVAL = 30_000;

const clamp = (value: number, least: number, most: number): number => Math.min(Math.max(value, least), most);

/** Interval in ms of the drawings of a live view of `span` seconds. */
export const drawInterval = (span: number): number => clamp(Math.floor(span / CHART_WIDTH) * 1000, MIN_DRAW, MAX_DRAW);

/** Interval in ms at which a table of a live view of `span` seconds is asked for, if `least` is that of a short one. */
export const tableInterval = (span: number, least: number): number => clamp(span * TABLE_SHARE * 1000, least, UNSEEN_INTERVAL);

/** The same for the whole summary. */
export const wholeInterval = (span: number, least: number): number => clamp(span * WHOLE_SHARE * 1000, least, 2 * UNSEEN_INTERVAL);

/** Interval in ms between checks whether somebody can see it. */
const VISIBILITY_CHECK_INTERVAL = 1000;

/** Calls `act` after `wait` ms; later if nobody can see its result then: in a hidden tab never, else after `UNSEEN_INTERVAL`. */
export function later(act: () => void, wait: number, isSeen: () => boolean, note: (timer: ReturnType<typeof setTimeout>) => void): void {
  const began = Date.now();
  const check = (): void => {
    if (!document.hidden && (isSeen() || Date.now() - began >= UNSEEN_INTERVAL)) act();
    else note(setTimeout(check, VISIBILITY_CHECK_INTERVAL));
  };
  note(setTimeout(check, wait));
}
