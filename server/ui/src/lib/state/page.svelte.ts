// State of the container page: the view (which is in the address), the server's
// answers, and how both change. Panels read from here, and change the view only by
// the methods below.

import { ApiError, api, MAX_NAMES } from "../api/client";
import type { ContainerItem, Life, ProcessInfo, RangeInfo, Summary } from "../api/types";
import type { Frame, Handlers } from "../chart/chart";
import type { VisibleChart } from "../chart/picture";
import { saved } from "../saved";
import { scope } from "../scope";
import { lastCovered, slotOf } from "../slots";
import type { Thing } from "../thing";
import type { Typed } from "../timespan";
import { follow as followRange, formatView, isLive, LIVE, parseView, stepsFor, type View } from "../view";
import { clock } from "./clock.svelte";
import { Compare } from "./compare.svelte";
import { LanesFeed } from "./lanes.svelte";
import { LiveFeed } from "./live";
import { NeighboursFeed } from "./neighbours.svelte";
import { containerLink } from "../route";
import { router } from "./route.svelte";
import { settings } from "./settings.svelte";
import { moment } from "../units";

/** Maximum number of rows per table on the page. The exports contain all rows. */
export const MAX_ROWS = 500;
/** Shortest range in seconds that keys and the wheel lead to. */
const MIN_RANGE = 4;
/** Bounds of a live view's length in seconds, as in an address. */
const MIN_LIVE_SPAN = 10;
const MAX_LIVE_SPAN = 86_400;
/** In ms. A move that follows sooner is not a step of the history. */
const HISTORY_INTERVAL = 1000;
/** Silence in seconds after which a live page reports that no data arrives. It waits as long after it has
 * begun to look: until then the agent may deliver every few seconds. */
const LATE_AFTER = 6;
/** Interval in ms at which the time bar's data is fetched while the container runs. */
const LIFE_INTERVAL = 15_000;
/** Minimum delay in ms between two requests while the handle moves. */
const MOVE_INTERVAL = 60;
/** Delay in ms between two steps of playback. */
const PLAY_INTERVAL = 250;

const NO_RANGE: RangeInfo = { from: 0, to: 1, step: 1, resolution: "second", slots: 0 };

export interface Moment {
  at: number;
  kind: string;
}

export class Page {
  view = $state.raw<View>(LIVE);
  container = $state.raw<ContainerItem | null>(null);
  summary = $state.raw<Summary | null>(null);
  /** The summary of the whole range, without an instant: what the account is made of. */
  ranged = $state.raw<Summary | null>(null);
  /** The instant that the rows of `summary` are of; null if they are of the range. */
  rowsAt = $state<number | null>(null);
  /** The newest slots of a live page, which `summary` may not have yet. */
  newest = $state.raw<Summary | null>(null);
  life = $state.raw<Life | null>(null);
  /** Why the data is missing or stale. */
  error = $state.raw<ApiError | null>(null);
  loading = $state(false);
  connected = $state(false);
  playing = $state(false);
  /** Time under the mouse. */
  hover = $state<number | null>(null);

  /** A shared link shows a range of time only, which is never live. */
  readonly isFixed = (scope()?.range ?? null) !== null;
  /** The address has neither range nor instant, and the container runs. */
  readonly live = $derived(isLive(this.view) && this.container?.state === "running" && !this.isFixed);
  readonly range = $derived<RangeInfo>(this.summary?.range ?? NO_RANGE);
  readonly covered = $derived<number[]>(this.summary?.covered ?? []);
  readonly partial = $derived<number[]>(this.summary?.partial ?? []);
  /** Since when the page has been live without a break. */
  private liveSince = $state<number | null>(null);
  /** Age of the newest data in seconds. 0 unless the page is live and data is late. */
  readonly late = $derived.by(() => {
    if (!this.live || this.summary === null) return 0;
    if (this.liveSince === null || clock.now - this.liveSince < LATE_AFTER) return 0;
    const behind = clock.now - Math.max(this.range.to, this.newest?.range.to ?? 0);
    return behind > LATE_AFTER ? behind : 0;
  });
  readonly shown = $derived.by<[number, number]>(() => {
    if (!this.live) return [this.range.from, this.range.to];
    const end = this.late > 0 ? clock.now : this.range.to;
    return [end - this.view.span, end];
  });
  readonly lived = $derived.by<[number, number]>(() => {
    const container = this.container;
    if (container === null) return [0, 0];
    const start = Math.min(container.started ?? container.first_seen, container.first_seen);
    if (container.state !== "running") return [start, container.ended ?? container.last_seen];
    // The newest seconds have not arrived yet, which is not a gap: the agent delivers them every few seconds
    // while nobody looks.
    return [start, this.live ? Math.max(this.range.to, this.shown[1]) : Math.min(container.last_seen, clock.now - LATE_AFTER)];
  });
  /** The slot that the figures show: under the mouse, else at the handle, else the newest. */
  readonly slot = $derived.by(() => {
    if (this.hover !== null) return slotOf(this.range, this.hover);
    if (this.view.at !== null) return slotOf(this.range, this.view.at);
    return lastCovered(this.covered);
  });
  /** Whether the figures are those of the whole range: nothing is live, under the mouse or at the handle. */
  readonly isRange = $derived(!this.live && this.hover === null && this.view.at === null);
  readonly marks = $derived.by<Moment[]>(() =>
    (this.summary?.events ?? []).filter((event) => event.kind !== "folded").map(({ at, kind }) => ({ at, kind })),
  );
  readonly frame = $derived.by<Frame>(() => ({
    range: this.range,
    covered: this.covered,
    partial: this.partial,
    shown: this.shown,
    lived: this.lived,
    at: this.view.at,
    marks: this.marks,
    utc: settings.utc,
  }));
  readonly names = $derived.by<Map<string, ProcessInfo>>(
    () => new Map((this.summary?.processes ?? []).map((row) => [row.key, row])),
  );

  /** The visible charts, for the PNG export. */
  readonly charts = new Set<VisibleChart>();
  readonly compare = new Compare(this);
  /** All processes of the range over time. */
  readonly lanes = new LanesFeed(this);
  /** Peers that are containers. */
  readonly neighbours = new NeighboursFeed(this);

  readonly handlers: Handlers = {
    onHover: (at) => (this.hover = at),
    onPick: (at) => this.pick(at),
    onZoom: (from, to) => this.zoom(from, to),
    onScale: (at, factor) => this.zoomBy(factor, at),
  };

  private readonly closing = new AbortController();
  private pending = new AbortController();
  private feed: LiveFeed | null = null;
  private waiting: ReturnType<typeof setTimeout> | undefined;
  private player: ReturnType<typeof setInterval> | undefined;
  private lifeTimer: ReturnType<typeof setInterval> | undefined;
  /** The address of the view that was live until it was paused. */
  private paused = "";
  /** When the range was moved by a key or the wheel. */
  private moved = -Infinity;
  /** The process that `ranged` is limited to. */
  private rangedOf: string | null = null;

  constructor(readonly id: string) {
    // Charts that nobody sees are not drawn each second while it is live.
    const drawAll = (): void => this.charts.forEach((chart) => chart.draw());
    addEventListener("beforeprint", drawAll, { signal: this.closing.signal });
  }

  /** Loads the view that the address encodes. */
  async open(search: string): Promise<void> {
    this.view = parseView(search);
    try {
      this.container = await api.container(this.id, this.closing.signal);
    } catch (error) {
      this.failed(error);
      if (error instanceof ApiError && error.status === 0) this.retry(() => this.open(search));
      return;
    }
    void this.loadLife();
    this.lifeTimer = setInterval(() => {
      if (document.hidden) return;
      if (this.container?.state !== "ended") void this.loadLife();
      if (this.container?.state !== "running") void this.checkAgain();
    }, LIFE_INTERVAL);
    this.load(0);
  }

  /** Shows another view after a step back or forward in the history. */
  show(search: string): void {
    const view = parseView(search);
    if (formatView(view) === formatView(this.view)) return;
    this.view = view;
    this.stop();
    this.load(0);
  }

  close(): void {
    this.closing.abort();
    this.pending.abort();
    this.feed?.close();
    this.compare.close();
    this.lanes.stop();
    this.neighbours.stop();
    clearTimeout(this.waiting);
    clearInterval(this.player);
    clearInterval(this.lifeTimer);
  }

  /** Back to now. */
  goLive(): void {
    this.stop();
    this.change({ from: null, to: null, at: null }, false);
  }

  toggleLive(): void {
    if (!this.live) this.goLive();
    else this.pick(this.range.to - this.range.step);
  }

  setSpan(span: number): void {
    this.stop();
    this.change({ from: null, to: null, at: null, span }, false);
  }

  /** Limits the tables to the slot that contains `at`. */
  pick(at: number): void {
    this.stop();
    this.moveTo(at);
  }

  /** Shows the tables over the whole range again. */
  unpick(): void {
    this.stop();
    const [from, to] = this.shown;
    this.change({ from, to, at: null }, true);
  }

  /** Shows charts and tables over `[from, to)`. */
  zoom(from: number, to: number): void {
    this.stop();
    const [first, last] = this.bounds();
    const start = Math.floor(Math.max(first, Math.min(from, to)));
    const end = Math.ceil(Math.min(last, Math.max(from, to)));
    if (end - start < 1) return;
    const at = this.view.at;
    this.change({ from: start, to: end, at: at !== null && at >= start && at < end ? at : null }, false);
  }

  /** Makes the range `factor` times as long. What is at `at` stays where it is. */
  zoomBy(factor: number, at = this.focus()): void {
    const [from, to] = this.wanted();
    const [first, last] = this.bounds();
    const width = Math.min(Math.max((to - from) * factor, MIN_RANGE), last - first);
    const start = at - ((at - from) / (to - from)) * width;
    this.move(start, width);
  }

  /** Moves the range by this share of its length. */
  pan(share: number): void {
    const [from, to] = this.wanted();
    this.move(from + share * (to - from), to - from);
  }

  /** Shows a typed time. Returns why it cannot be shown, or an empty string. */
  showTyped(typed: Typed): string {
    if (typed.kind !== "instant" && saved() !== null) return "a file shows its whole range: type one moment, such as 12:03";
    const [first, last] = this.bounds();
    if (typed.kind === "last") {
      if (this.container?.state === "running" && typed.seconds <= MAX_LIVE_SPAN) this.setSpan(Math.max(MIN_LIVE_SPAN, Math.round(typed.seconds)));
      else this.zoom(last - typed.seconds, last);
      return "";
    }
    const [from, to] = typed.kind === "range" ? [typed.from, typed.to] : [typed.at, typed.at];
    if (to < first || from > last) return `there is data from ${moment(first, settings.utc)} to ${moment(last, settings.utc)} only`;
    if (typed.kind === "range") this.zoom(from, to);
    else this.pick(from);
    return "";
  }

  /** Stops a live view at what it shows, and starts it again. */
  togglePause(): void {
    if (this.live) {
      const [from, to] = this.shown;
      this.zoom(from, to);
      this.paused = formatView(this.view);
    } else if (this.paused === formatView(this.view)) this.goLive();
    else this.togglePlay();
  }

  /** The range that was asked for, which may not be shown yet: several keys add up. */
  private wanted(): readonly [number, number] {
    const { from, to } = this.view;
    return from !== null && to !== null ? [from, to] : this.shown;
  }

  /** The time that zooming keeps in place: under the pointer, at the handle, or the middle. */
  private focus(): number {
    const [from, to] = this.wanted();
    const at = this.hover ?? this.view.at;
    return at !== null && at >= from && at <= to ? at : (from + to) / 2;
  }

  private move(from: number, width: number): void {
    const [first, last] = this.bounds();
    const start = Math.max(first, Math.min(from, last - width));
    // Many small steps are one step of the history.
    const now = performance.now();
    const isNext = now - this.moved > HISTORY_INTERVAL;
    this.moved = now;
    this.stop();
    const range: [number, number] = [Math.floor(start), Math.ceil(Math.min(last, start + width))];
    if (range[1] - range[0] < 1) return;
    const at = this.view.at;
    this.change({ from: range[0], to: range[1], at: at !== null && at >= range[0] && at < range[1] ? at : null }, !isNext);
  }

  /** Limits everything to one process. Null: all processes. */
  select(process: string | null): void {
    this.change({ process }, false);
  }

  /** Shows one thing in the side panel. Null: closes it. */
  showThing(thing: Thing | null): void {
    this.view = { ...this.view, thing };
    router.note(formatView(this.view), false);
  }

  /** Shows slots of `step` seconds. Null: the server chooses. */
  setStep(step: number | null): void {
    this.change({ step }, true);
  }

  /** Begins the tree at the processes with this name. Null: at those without a parent. */
  showRoot(root: string | null): void {
    this.view = { ...this.view, root };
    router.note(formatView(this.view), false);
  }

  pin(panel: string | null): void {
    this.view = { ...this.view, pin: this.view.pin === panel ? null : panel };
    router.note(formatView(this.view), true);
  }

  /** Compares with the container `vs`. Null: ends the comparison. */
  compareWith(vs: string | null): void {
    this.view = { ...this.view, vs };
    router.note(formatView(this.view), false);
  }

  /** Moves the handle by slots. */
  step(slots: number): void {
    this.stop();
    this.moveTo(this.handle() + slots * this.range.step);
  }

  /** To the next (1) or previous (-1) event. */
  jump(direction: 1 | -1): void {
    const handle = this.handle();
    const moments = [...(this.life?.marks ?? []), ...this.marks].map((mark) => mark.at).sort((a, b) => a - b);
    const target =
      direction > 0
        ? moments.find((at) => at >= handle + this.range.step)
        : moments.reverse().find((at) => at < handle - 1e-6);
    if (target !== undefined) this.pick(target);
  }

  togglePlay(): void {
    if (this.playing) {
      this.stop();
      return;
    }
    if (this.live) return;
    this.playing = true;
    this.player = setInterval(() => {
      if (this.loading) return;
      const next = this.handle() + this.range.step;
      if (next >= this.bounds()[1]) this.stop();
      else this.moveTo(next);
    }, PLAY_INTERVAL);
  }

  stop(): void {
    this.playing = false;
    clearInterval(this.player);
  }

  /** First and last moment that can have data. */
  bounds(): [number, number] {
    const container = this.container;
    if (container === null) return [this.range.from, this.range.to];
    const first = Math.min(container.first_seen, this.life?.first ?? Infinity);
    const last = Math.max(container.last_seen, this.life?.last ?? 0, this.range.to);
    const shared = scope()?.range ?? null;
    return shared === null ? [first, last] : [...shared];
  }

  /** Start of the slot at the handle, else of the newest slot. */
  private handle(): number {
    if (this.view.at !== null) return this.view.at;
    return this.range.from + Math.max(0, lastCovered(this.covered)) * this.range.step;
  }

  private moveTo(at: number): void {
    const [first, last] = this.bounds();
    const { step } = this.range;
    const bounded = Math.min(Math.max(at, first), last - 1e-3);
    const aligned = Math.floor(bounded / step + 1e-6) * step;
    const [from, to] = followRange(...this.shown, aligned);
    this.change({ from, to, at: aligned }, true);
  }

  private change(part: Partial<View>, replace: boolean): void {
    const was = this.view;
    // A file has its whole range, and no panels of one process.
    this.view = saved() === null ? { ...was, ...part } : { ...was, at: part.at === undefined ? was.at : part.at };
    // Leaving the live view adds a step to the history. Moving the handle does not.
    router.note(formatView(this.view), replace && !isLive(was));
    this.load(replace ? MOVE_INTERVAL : 0);
  }

  private load(wait: number): void {
    this.feed?.close();
    this.feed = null;
    this.connected = false;
    this.newest = null;
    this.pending.abort();
    clearTimeout(this.waiting);
    this.loading = true;
    this.waiting = setTimeout(() => void (this.live ? this.loadLive() : this.loadPast()), wait);
  }

  private loadLive(): Promise<void> {
    this.liveSince ??= clock.now;
    this.feed = new LiveFeed(this.id, this.view.span, this.view.process, {
      onNewest: (piece) => (this.newest = piece),
      onSummary: (summary) => this.accept(summary),
      onConnected: (connected) => (this.connected = connected),
      onError: (error) => this.failed(error),
      onEnd: () => void this.ended(),
    });
    return this.feed.open();
  }

  private async loadPast(): Promise<void> {
    this.liveSince = null;
    const { at, process } = this.view;
    const [first, last] = this.bounds();
    const from = this.view.from ?? first;
    const to = this.view.to ?? last;
    const { step } = this.view;
    this.pending = new AbortController();
    const { signal } = this.pending;
    try {
      const summary = await api.summary(this.id, { from, to, at, process, step: step !== null && stepsFor(to - from).includes(step) ? step : null, top: MAX_ROWS, series: MAX_NAMES }, signal);
      if (!signal.aborted) this.accept(summary, at);
    } catch (error) {
      if (signal.aborted) return;
      this.failed(error);
      if (error instanceof ApiError && !error.refused && error.status !== 404) this.retry(() => this.loadPast());
    }
  }

  /** The view that shows evidence at the instant `at`, or that of the range. */
  evidenceView(at: number | undefined): View {
    if (at === undefined) return this.view;
    const { step } = this.range;
    const aligned = Math.floor(at / step + 1e-6) * step;
    const [from, to] = followRange(...this.shown, aligned);
    return { ...this.view, from, to, at: aligned };
  }

  /** The address of another container, at the time that this page shows. */
  linkTo(id: string): string {
    if (this.live) return containerLink(id);
    const [from, to] = this.shown;
    return containerLink(id) + formatView({ ...LIVE, from, to, at: this.view.at });
  }

  showEvidence(at: number | undefined): void {
    if (at !== undefined) this.pick(at);
  }

  /** Keeps the summary of the range. While an instant is shown, the rows of `summary` are of that instant. */
  private async acceptRange(summary: Summary): Promise<void> {
    const { at, process } = this.view;
    if (at === null) {
      this.ranged = summary;
      this.rangedOf = process;
      return;
    }
    const { from, to, step } = summary.range;
    const held = this.ranged?.range;
    if (held?.from === from && held.to === to && held.step === step && this.rangedOf === process) return;
    this.ranged = null;
    this.rangedOf = process;
    const { signal } = this.pending;
    try {
      const ranged = await api.summary(this.id, { from, to, step, process, top: MAX_ROWS, series: MAX_NAMES }, signal);
      if (!signal.aborted) this.ranged = ranged;
    } catch {
      // The page works without the account. The next change of the range tries again.
    }
  }

  private accept(summary: Summary, at: number | null = null): void {
    this.summary = summary;
    this.rowsAt = at;
    void this.acceptRange(summary);
    this.container = summary.container;
    this.loading = false;
    this.error = null;
  }

  private failed(error: unknown): void {
    if (this.closing.signal.aborted) return;
    this.loading = false;
    this.error = ApiError.of(error);
  }

  private retry(again: () => Promise<void>): void {
    this.waiting = setTimeout(() => void again(), 2000);
  }

  /** The container ended while the page was live: shows its whole life. */
  private async ended(): Promise<void> {
    try {
      this.container = await api.container(this.id, this.closing.signal);
      void this.loadLife();
    } catch (error) {
      this.failed(error);
    }
    if (this.container?.state === "ended") this.load(0);
    else this.retry(async () => this.load(0));
  }

  /** Checks whether a silent or ended container runs again. */
  private async checkAgain(): Promise<void> {
    try {
      const container = await api.container(this.id, this.closing.signal);
      const back = container.state === "running" && this.container?.state !== "running";
      this.container = container;
      if (back) void this.loadLife();
      if (back && isLive(this.view)) this.load(0);
    } catch {
      // The next check may succeed.
    }
  }

  private async loadLife(): Promise<void> {
    try {
      this.life = await api.life(this.id, this.closing.signal);
    } catch (error) {
      // The page works without the bar. The next interval tries again.
      if (error instanceof ApiError && error.refused) this.failed(error);
    }
  }
}
