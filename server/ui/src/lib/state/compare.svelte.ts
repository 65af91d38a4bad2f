// The container that the page's own is compared with (`vs` in the address): asked
// for when the page's range needs it, and drawn over it by the panels.

import { ApiError, api, serverNow } from "../api/client";
import type { ContainerItem, Summary } from "../api/types";
import type { Line } from "../chart/line";
import { laterBy, others, outdated, question, shiftOf, type Asked, type Others } from "../compare";
import type { Page } from "./page.svelte";

const RETRY_AFTER = 2000;

export class Compare {
  /** The other; null until the server told, and when it does not tell. */
  container = $state.raw<ContainerItem | null>(null);
  /** Why there is nothing, or nothing new, to compare with. */
  error = $state.raw<string | null>(null);
  summary = $state.raw<Summary | null>(null);

  /** How much later than this container the other started, in seconds. */
  readonly later = $derived.by(() => {
    const own = this.page.container;
    return own === null || this.container === null ? 0 : laterBy(own, this.container);
  });
  readonly name = $derived(this.container?.name || this.container?.id || "");
  /** Its series in the page's slots; null without any. A single process has no counterpart. */
  readonly series = $derived.by<Others | null>(() => {
    const { range, view } = this.page;
    if (this.summary === null || view.process !== null) return null;
    return others(this.summary, range, shiftOf(this.later, range.step));
  });

  private id: string | null = null;
  private asked: Asked | null = null;
  private asking = new AbortController();
  private waiting: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly page: Page) {}

  /** One of the other's series, as a line of a chart; none when nothing is compared. */
  line(key: keyof Others, what: string, dash: number[] = [6, 3]): Line[] {
    if (this.series === null) return [];
    return [{ key: `vs ${key}`, label: `${this.name}: ${what}`, colour: "", values: this.series[key], kind: "other", dash }];
  }

  /** Asks for what is missing. To be called when the page's container, view or range changed. */
  follow(): void {
    // Until it is known who this is, none can be told from it.
    if (this.page.container === null) return;
    const { view, summary, range, live } = this.page;
    if (view.vs !== this.id) {
      this.close();
      this.id = view.vs;
      this.container = this.summary = this.asked = this.error = null;
      if (this.id !== null) void this.meet(this.id);
    }
    const { container } = this;
    if (container === null || summary === null || view.process !== null) return;
    const now = serverNow();
    const shift = shiftOf(this.later, range.step);
    if (!outdated(this.asked, range, shift, live, now)) return;
    const asked = question(range, shift, live, now);
    // What has ended stays as it is.
    if (asked !== null) void this.ask(container.id, container.state === "ended" ? { ...asked, final: Infinity } : asked);
  }

  close(): void {
    this.asking.abort();
    clearTimeout(this.waiting);
  }

  /** Who it is, and so when it started. */
  private async meet(id: string): Promise<void> {
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      const container = await api.container(id, signal);
      if (signal.aborted) return;
      this.error = container.id === this.page.container?.id ? "a container is not compared with itself: name another" : null;
      if (this.error !== null) return;
      this.container = container;
      this.follow();
    } catch (error) {
      if (!signal.aborted) this.failed(error, () => void this.meet(id));
    }
  }

  private async ask(id: string, asked: Asked): Promise<void> {
    this.close();
    this.asking = new AbortController();
    const { signal } = this.asking;
    // Until the answer is there it is not asked again, however long that takes.
    this.asked = { ...asked, at: Infinity };
    try {
      const { from, to, step } = asked;
      const summary = await api.summary(id, { from, to, step, top: 1 }, signal);
      if (signal.aborted) return;
      this.asked = asked;
      this.summary = summary;
      this.container = summary.container;
      this.error = null;
    } catch (error) {
      if (signal.aborted) return;
      this.asked = null;
      this.failed(error, () => this.follow());
    }
  }

  private failed(error: unknown, again: () => void): void {
    const { status, message } = ApiError.of(error);
    if (status < 400 || status >= 500 || status === 429) {
      this.error = `${message}; it will be asked again`;
      this.waiting = setTimeout(again, RETRY_AFTER);
      return;
    }
    this.container = this.summary = null;
    this.error = status === 403 ? `${message}, and good for that one alone: to compare two, a token for all is needed` : message;
  }
}
