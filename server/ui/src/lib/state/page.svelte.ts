// The container page: what it shows (the view, which is in the address), what
// the server said, and how both move. Panels read from here, and change the view
// only by the methods below.

import { ApiError, api } from "../api/client";
import type { ContainerItem, Life, ProcessInfo, RangeInfo, Summary } from "../api/types";
import type { Frame, Handlers } from "../chart/chart";
import type { Drawn } from "../chart/picture";
import { lastCovered, slotOf } from "../slots";
import { follow as followRange, formatView, isLive, LIVE, parseView, type View } from "../view";
import { clock } from "./clock.svelte";
import { Compare } from "./compare.svelte";
import { LiveFeed } from "./live";
import { router } from "./route.svelte";
import { settings } from "./settings.svelte";

/** Rows of a table that a page asks for; the rest is in the exports. */
export const ROWS = 500;
/** Silence in seconds after which a live page says that nothing arrives. */
const LATE = 6;
/** How often the bar of the whole life is asked for while it grows, in ms. */
const LIFE_EVERY = 15_000;
/** Moving the handle asks once per this many ms at most. */
const MOVE_EVERY = 60;
const PLAY_EVERY = 250;

const NO_RANGE: RangeInfo = { from: 0, to: 1, step: 1, resolution: "second", slots: 0 };

export interface Moment {
  at: number;
  kind: string;
}

export class Page {
  view = $state.raw<View>(LIVE);
  container = $state.raw<ContainerItem | null>(null);
  summary = $state.raw<Summary | null>(null);
  life = $state.raw<Life | null>(null);
  /** Why nothing, or nothing new, can be shown. */
  error = $state.raw<ApiError | null>(null);
  loading = $state(false);
  connected = $state(false);
  playing = $state(false);
  /** Where the mouse is, in time. */
  hover = $state<number | null>(null);

  /** The address asks for what is now, and there is a now. */
  readonly live = $derived(isLive(this.view) && this.container?.state === "running");
  readonly range = $derived<RangeInfo>(this.summary?.range ?? NO_RANGE);
  readonly covered = $derived<number[]>(this.summary?.covered ?? []);
  /** Seconds since the newest that is known; 0 unless live and late. */
  readonly late = $derived.by(() => {
    if (!this.live || this.summary === null) return 0;
    const behind = clock.now - this.range.to;
    return behind > LATE ? behind : 0;
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
    // The newest seconds are still under way, which is no gap.
    return [start, this.live ? Math.max(this.range.to, this.shown[1]) : clock.now - LATE];
  });
  /** Which slot the figures are of: under the mouse, else at the handle, else the newest. */
  readonly slot = $derived.by(() => {
    if (this.hover !== null) return slotOf(this.range, this.hover);
    if (this.view.at !== null) return slotOf(this.range, this.view.at);
    return lastCovered(this.covered);
  });
  readonly marks = $derived.by<Moment[]>(() =>
    (this.summary?.events ?? []).filter((event) => event.kind !== "folded").map(({ at, kind }) => ({ at, kind })),
  );
  readonly frame = $derived.by<Frame>(() => ({
    range: this.range,
    covered: this.covered,
    shown: this.shown,
    lived: this.lived,
    at: this.view.at,
    marks: this.marks,
    utc: settings.utc,
  }));
  readonly names = $derived.by<Map<string, ProcessInfo>>(
    () => new Map((this.summary?.processes ?? []).map((row) => [row.key, row])),
  );

  /** The charts that are seen, for a picture of them. */
  readonly charts = new Set<Drawn>();
  readonly compare = new Compare(this);

  readonly handlers: Handlers = {
    onHover: (at) => (this.hover = at),
    onPick: (at) => this.pick(at),
    onZoom: (from, to) => this.zoom(from, to),
  };

  private readonly closing = new AbortController();
  private asking = new AbortController();
  private feed: LiveFeed | null = null;
  private waiting: ReturnType<typeof setTimeout> | undefined;
  private player: ReturnType<typeof setInterval> | undefined;
  private lifeTimer: ReturnType<typeof setInterval> | undefined;

  constructor(readonly id: string) {}

  /** Begins with what the address says. */
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
      if (this.container?.state !== "ended") void this.loadLife();
      if (this.container?.state === "silent") void this.heard();
    }, LIFE_EVERY);
    this.load(0);
  }

  /** The person went back or forward. */
  show(search: string): void {
    const view = parseView(search);
    if (formatView(view) === formatView(this.view)) return;
    this.view = view;
    this.stop();
    this.load(0);
  }

  close(): void {
    this.closing.abort();
    this.asking.abort();
    this.feed?.close();
    this.compare.close();
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

  /** Tables as of the slot that holds `at`. */
  pick(at: number): void {
    this.stop();
    this.moveTo(at);
  }

  /** Tables over the whole range again. */
  unpick(): void {
    this.stop();
    const [from, to] = this.shown;
    this.change({ from, to, at: null }, true);
  }

  /** Charts and tables over `[from, to)`. */
  zoom(from: number, to: number): void {
    this.stop();
    const [first, last] = this.bounds();
    const start = Math.floor(Math.max(first, Math.min(from, to)));
    const end = Math.ceil(Math.min(last, Math.max(from, to)));
    if (end - start < 1) return;
    const at = this.view.at;
    this.change({ from: start, to: end, at: at !== null && at >= start && at < end ? at : null }, false);
  }

  /** Everything of one process alone; null: of all. */
  select(process: string | null): void {
    this.change({ process }, false);
  }

  pin(panel: string | null): void {
    this.view = { ...this.view, pin: this.view.pin === panel ? null : panel };
    router.note(formatView(this.view), true);
  }

  /** Shows the container `vs` over this one; null: no other any more. */
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
    }, PLAY_EVERY);
  }

  stop(): void {
    this.playing = false;
    clearInterval(this.player);
  }

  /** First and last moment of which anything can be known. */
  bounds(): [number, number] {
    const container = this.container;
    if (container === null) return [this.range.from, this.range.to];
    const first = Math.min(container.first_seen, this.life?.first ?? Infinity);
    const last = Math.max(container.last_seen, this.life?.last ?? 0, this.range.to);
    return [first, last];
  }

  /** Start of the slot at the handle, or of the newest. */
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
    this.view = { ...was, ...part };
    // Leaving the live view is a step that "back" undoes; moving the handle is not.
    router.note(formatView(this.view), replace && !isLive(was));
    this.load(replace ? MOVE_EVERY : 0);
  }

  private load(wait: number): void {
    this.feed?.close();
    this.feed = null;
    this.connected = false;
    this.asking.abort();
    clearTimeout(this.waiting);
    this.loading = true;
    this.waiting = setTimeout(() => void (this.live ? this.loadLive() : this.loadPast()), wait);
  }

  private loadLive(): Promise<void> {
    this.feed = new LiveFeed(this.id, this.view.span, this.view.process, {
      onSummary: (summary) => this.accept(summary),
      onConnected: (connected) => (this.connected = connected),
      onError: (error) => this.failed(error),
      onEnd: () => void this.ended(),
    });
    return this.feed.open();
  }

  private async loadPast(): Promise<void> {
    const { at, process } = this.view;
    const [first, last] = this.bounds();
    const from = this.view.from ?? first;
    const to = this.view.to ?? last;
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      const summary = await api.summary(this.id, { from, to, at, process, top: ROWS }, signal);
      if (!signal.aborted) this.accept(summary);
    } catch (error) {
      if (signal.aborted) return;
      this.failed(error);
      if (error instanceof ApiError && !error.refused && error.status !== 404) this.retry(() => this.loadPast());
    }
  }

  private accept(summary: Summary): void {
    this.summary = summary;
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

  /** The container ended while it was watched: the page goes on with its whole life. */
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

  /** Whether a silent container is heard of again. */
  private async heard(): Promise<void> {
    try {
      const container = await api.container(this.id, this.closing.signal);
      const back = container.state === "running" && this.container?.state !== "running";
      this.container = container;
      if (back && isLive(this.view)) this.load(0);
    } catch {
      // It stays silent; the next try comes by itself.
    }
  }

  private async loadLife(): Promise<void> {
    try {
      this.life = await api.life(this.id, this.closing.signal);
    } catch (error) {
      // The page works without the bar; the next try comes by itself.
      if (error instanceof ApiError && error.refused) this.failed(error);
    }
  }
}
