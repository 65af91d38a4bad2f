// What the side panel asks for. It follows the page's range; while the page is live, it asks again
// every few seconds.

import { ApiError } from "../api/client";
import { later } from "../pace";
import type { Page } from "./page.svelte";

/** In ms. */
const LIVE_INTERVAL = 5000;
const RETRY_DELAY = 2000;

export class About<T> {
  answer = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);

  private pending = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly page: Page,
    private readonly fetch: (range: { from: number; to: number }, signal: AbortSignal) => Promise<T>,
  ) {}

  /** Identifies the range. It is asked for again when this changes. */
  get span(): string {
    return this.page.live ? "live" : `${this.page.range.from} ${this.page.range.to}`;
  }

  ask(): void {
    this.stop();
    this.pending = new AbortController();
    void this.load(this.pending.signal);
  }

  stop(): void {
    this.pending.abort();
    clearTimeout(this.timer);
  }

  private async load(signal: AbortSignal): Promise<void> {
    const { from, to } = this.page.range;
    let wait = LIVE_INTERVAL;
    try {
      const answer = await this.fetch({ from, to }, signal);
      if (signal.aborted) return;
      this.answer = answer;
      this.error = null;
    } catch (error) {
      if (signal.aborted) return;
      this.error = ApiError.of(error);
      if (this.error.status >= 400 && this.error.status < 500 && this.error.status !== 429) return;
      wait = RETRY_DELAY;
    }
    if (this.page.live || this.error !== null) later(() => void this.load(signal), wait, () => true, (timer) => (this.timer = timer));
  }
}
