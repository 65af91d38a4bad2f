// The live view of a container: one whole summary, then the newest slots as the
// server sends them. They are told one by one, and appended together as often as the
// view moves by a pixel, in a frame: a hidden tab has none. The whole summary is
// fetched again every few seconds, because the tables' sums cannot drop what left the
// window, and because late slots may have arrived. For a long window the server answers
// with coarser slots, and the stream is then opened with their length.

import { ApiError, address, api, containerPath, MAX_NAMES, serverNow } from "../api/client";
import { follow, type ServerEvent } from "../api/events";
import type { Summary } from "../api/types";
import { drawInterval, wholeInterval } from "../pace";
import { append, HoleError, lastCovered, trim } from "../slots";

/** In ms; of a long view it is longer. */
const REFRESH_INTERVAL = 10_000;
const RETRY_DELAY = 2000;
const MAX_ROWS = 200;
/** Number of recent pieces to append to a summary that was requested before they arrived. */
const MAX_PIECES = 30;
/** A drawing may be so many ms early. */
const DRAW_TOLERANCE = 300;

export interface FeedListener {
  /** The newest slots, each time that some arrive. */
  onNewest(piece: Summary): void;
  onSummary(summary: Summary): void;
  onConnected(connected: boolean): void;
  onError(error: unknown): void;
  onEnd(): void;
}

export class LiveFeed {
  private readonly closing = new AbortController();
  private summary: Summary | null = null;
  private pieces: Summary[] = [];
  /** Pieces that are not appended yet. */
  private waiting: Summary[] = [];
  private drawTimer: ReturnType<typeof setTimeout> | undefined;
  /** Of the next drawing, and of the next refresh. */
  private frame = 0;
  private refreshFrame = 0;
  /** When the pieces were appended last. */
  private drawn = -Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private fetching = false;
  /** Length of the streamed slots, in seconds. */
  private step = 1;
  private following = new AbortController();

  constructor(
    private readonly id: string,
    private readonly span: number,
    private readonly process: string | null,
    private readonly listener: FeedListener,
  ) {}

  async open(): Promise<void> {
    this.listen();
    await this.refresh();
  }

  close(): void {
    this.closing.abort();
    this.following.abort();
    clearTimeout(this.timer);
    clearTimeout(this.drawTimer);
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.refreshFrame);
  }

  /** Opens the stream of the newest slots. */
  private listen(): void {
    this.following.abort();
    this.following = new AbortController();
    const { signal } = this.following;
    const url = address(`${containerPath(this.id)}/live`, { step: this.step, top: MAX_ROWS, process: this.process });
    void follow(url, signal, {
      onEvent: (event) => signal.aborted || this.received(event),
      onConnected: (connected) => signal.aborted || this.listener.onConnected(connected),
      onRefused: (error) => signal.aborted || this.listener.onError(error),
    });
  }

  /** Fetches the whole window. */
  private async refresh(): Promise<void> {
    if (this.fetching || this.closing.signal.aborted) return;
    this.fetching = true;
    clearTimeout(this.timer);
    let wait = wholeInterval(this.span, REFRESH_INTERVAL);
    try {
      const now = Math.ceil(serverNow());
      const query = { from: now - this.span, to: now, step: 1, top: MAX_ROWS, series: MAX_NAMES, process: this.process };
      const whole = trim(await api.summary(this.id, query, this.closing.signal));
      if (this.closing.signal.aborted) return;
      this.summary = whole;
      if (whole.range.step !== this.step) {
        this.step = whole.range.step;
        this.pieces = [];
        this.listen();
      }
      this.waiting = [];
      for (const piece of this.pieces) this.merge(piece);
      this.listener.onSummary(this.summary);
    } catch (error) {
      if (this.closing.signal.aborted) return;
      wait = RETRY_DELAY;
      this.listener.onError(error);
      if (error instanceof ApiError && (error.refused || error.status === 404)) return;
    } finally {
      this.fetching = false;
    }
    this.timer = setTimeout(() => this.whenVisible(() => void this.refresh()), wait);
  }

  /** Acts in the next frame: a hidden tab has none. */
  private whenVisible(act: () => void): void {
    if (document.hidden) this.refreshFrame = requestAnimationFrame(act);
    else act();
  }


  private received(event: ServerEvent): void {
    if (event.event === "end") {
      this.listener.onEnd();
      return;
    }
    if (event.event !== "slots") return;
    let piece: Summary;
    try {
      piece = trim(JSON.parse(event.data) as Summary);
    } catch {
      this.listener.onError(new ApiError(0, "", "cannot read the live stream"));
      return;
    }
    this.pieces = [...this.pieces.slice(1 - MAX_PIECES), piece];
    if (lastCovered(piece.covered) >= 0) this.listener.onNewest(piece);
    if (this.summary === null) return;
    // A hidden tab draws nothing. More pieces than this lead to a new summary.
    this.waiting = [...this.waiting.slice(-MAX_PIECES), piece];
    if (this.waiting.length > 1) return;
    const wait = drawInterval(this.span) - (performance.now() - this.drawn);
    clearTimeout(this.drawTimer);
    // Pieces come once a second, but not to the millisecond.
    if (wait <= DRAW_TOLERANCE) this.draw();
    else this.drawTimer = setTimeout(() => this.draw(), wait);
  }

  /** Appends the pieces that wait, in a frame. */
  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const pieces = this.waiting.splice(0);
      this.drawn = performance.now();
      const isWhole = pieces.length <= MAX_PIECES && pieces.every((piece) => this.merge(piece));
      if (isWhole && this.summary !== null) this.listener.onSummary(this.summary);
      else void this.refresh();
    });
  }

  /** Appends `piece` to the summary. Returns false if there is a hole between them. */
  private merge(piece: Summary): boolean {
    if (this.summary === null || lastCovered(piece.covered) < 0) return true;
    if (piece.range.to <= this.summary.range.from) return true;
    try {
      this.summary = append(this.summary, piece, Math.ceil(this.span / this.step));
      return true;
    } catch (error) {
      if (error instanceof HoleError) return false;
      throw error;
    }
  }
}
