// The container to compare with (`vs` in the address). Its series are fetched when
// the page's range needs them, and the panels draw them over their own.

import { ApiError, api, MAX_NAMES, serverNow } from "../api/client";
import type { Comparison, ContainerItem, Summary } from "../api/types";
import type { Line } from "../chart/line";
import { startOffset, alignedCovered, alignedSeries, isOutdated, planQuery, slotShift, type OtherQuery, type OtherSeries } from "../compare";
import { figureAt } from "../slots";
import type { Series } from "../units";
import type { Page } from "./page.svelte";

/** In ms. */
const RETRY_DELAY = 2000;

export class Compare {
  /** The other container. Null until the server has answered, and after an error. */
  container = $state.raw<ContainerItem | null>(null);
  /** Why the comparison is missing or stale. */
  error = $state.raw<string | null>(null);
  summary = $state.raw<Summary | null>(null);
  /** In what the two differ, over their whole lives. */
  differences = $state.raw<Comparison | null>(null);

  /** Seconds from the start of this container to the start of the other. */
  readonly offset = $derived.by(() => {
    const own = this.page.container;
    return own === null || this.container === null ? 0 : startOffset(own, this.container);
  });
  readonly name = $derived(this.container?.name || this.container?.id || "");
  /** Its series in the page's slots, or null. A single process has no counterpart. */
  readonly series = $derived.by<OtherSeries | null>(() => {
    const { range, view } = this.page;
    if (this.summary === null || view.process !== null) return null;
    return alignedSeries(this.summary, range, slotShift(this.offset, range.step));
  });

  /** How much of each of the page's slots it was observed: what its means are weighted by. */
  private readonly covered = $derived.by(() => {
    const { range } = this.page;
    return this.summary === null ? [] : alignedCovered(this.summary, range, slotShift(this.offset, range.step));
  });

  private id: string | null = null;
  private query: OtherQuery | null = null;
  private pending = new AbortController();
  /** Ends what belongs to the container that is compared with. */
  private closing = new AbortController();
  private retryTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly page: Page) {}

  /** One of the other's series at the page's instant, or its mean over the page's range. */
  figure(values: Series): number | null {
    return figureAt({ slot: this.page.slot, isRange: this.page.isRange, covered: this.covered, partial: [] }, values);
  }

  /** One of the other's series as a line of a chart. Empty if nothing is compared. */
  line(key: keyof OtherSeries, what: string, dash: number[] = [6, 3]): Line[] {
    if (this.series === null) return [];
    return [{ key: `vs ${key}`, label: `${this.name}: ${what}`, colour: "", values: this.series[key], mean: this.figure(this.series[key]), kind: "other", dash }];
  }

  /** Fetches what is missing. Called when the page's container, view or range changes. */
  follow(): void {
    // The page's own container must be known first, to reject a comparison with itself.
    if (this.page.container === null) return;
    const { view, summary, range, live } = this.page;
    if (view.vs !== this.id) {
      this.stop();
      this.closing.abort();
      this.closing = new AbortController();
      this.id = view.vs;
      this.container = this.summary = this.differences = this.query = this.error = null;
      if (this.id !== null) void this.identify(this.id);
    }
    const { container } = this;
    if (container === null || summary === null || view.process !== null) return;
    const now = serverNow();
    const shift = slotShift(this.offset, range.step);
    if (!isOutdated(this.query, range, shift, live, now)) return;
    const query = planQuery(range, shift, live, now);
    // The data of an ended container is final.
    if (query !== null) void this.fetchSummary(container.id, container.state === "ended" ? { ...query, final: Infinity } : query);
  }

  close(): void {
    this.closing.abort();
    this.stop();
  }

  private stop(): void {
    this.pending.abort();
    clearTimeout(this.retryTimer);
  }

  /** Fetches the container, for its name and its start. */
  private async identify(id: string): Promise<void> {
    this.pending = new AbortController();
    const { signal } = this.pending;
    try {
      const container = await api.container(id, signal);
      if (signal.aborted) return;
      this.error = container.id === this.page.container?.id ? "cannot compare a container with itself: choose another" : null;
      if (this.error !== null) return;
      this.container = container;
      void this.fetchDifferences(container.id);
      this.follow();
    } catch (error) {
      if (!signal.aborted) this.failed(error, () => void this.identify(id));
    }
  }

  private async fetchDifferences(id: string): Promise<void> {
    try {
      const differences = await api.compare(this.page.id, id, this.closing.signal);
      if (this.id !== null && this.container?.id === id) this.differences = differences;
    } catch (error) {
      if (!this.closing.signal.aborted) this.failed(error, () => void this.fetchDifferences(id));
    }
  }

  private async fetchSummary(id: string, query: OtherQuery): Promise<void> {
    this.stop();
    this.pending = new AbortController();
    const { signal } = this.pending;
    // No second request until this one has been answered, however long that takes.
    this.query = { ...query, at: Infinity };
    try {
      const { from, to, step } = query;
      const summary = await api.summary(id, { from, to, step, top: 1, series: MAX_NAMES }, signal);
      if (signal.aborted) return;
      this.query = query;
      this.summary = summary;
      this.container = summary.container;
      this.error = null;
    } catch (error) {
      if (signal.aborted) return;
      this.query = null;
      this.failed(error, () => this.follow());
    }
  }

  private failed(error: unknown, retry: () => void): void {
    const { status, message } = ApiError.of(error);
    if (status < 400 || status >= 500 || status === 429) {
      this.error = `${message}; retrying`;
      this.retryTimer = setTimeout(retry, RETRY_DELAY);
      return;
    }
    this.container = this.summary = null;
    this.error = status === 403 ? `${message}; comparing two containers takes a token for all` : message;
  }
}
