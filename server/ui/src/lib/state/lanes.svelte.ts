// The lanes of the page's range. A live page fetches them again every few seconds.

import { ApiError, api } from "../api/client";
import { laneSet, type LaneSet } from "../lanes/set";
import { later, tableInterval } from "../pace";
import type { Page } from "./page.svelte";
import { Visible } from "./visible.svelte";

/** In ms; of a long view it is longer. */
const LIVE_INTERVAL = 3000;
const RETRY_DELAY = 2000;

export class LanesFeed {
  set = $state.raw<LaneSet | null>(null);
  error = $state.raw<ApiError | null>(null);

  /** Of the panel. */
  readonly visible = new Visible();

  private pending = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly page: Page) {}

  /** Fetches the lanes of the range that is shown, again and again while the page is live. */
  ask(): void {
    this.stop();
    this.pending = new AbortController();
    void this.fetch(this.pending.signal);
  }

  stop(): void {
    this.pending.abort();
    clearTimeout(this.timer);
  }

  private async fetch(signal: AbortSignal): Promise<void> {
    const { from, to } = this.page.range;
    let wait = tableInterval(this.page.view.span, LIVE_INTERVAL);
    try {
      const lanes = await api.lanes(this.page.id, { from, to }, signal);
      if (signal.aborted) return;
      this.set = laneSet(lanes);
      this.error = null;
    } catch (error) {
      if (signal.aborted) return;
      this.error = ApiError.of(error);
      if (this.error.status >= 400 && this.error.status < 500 && this.error.status !== 429) return;
      wait = RETRY_DELAY;
    }
    if (this.page.live || this.error !== null) later(() => void this.fetch(signal), wait, () => this.visible.now, (timer) => (this.timer = timer));
  }
}
