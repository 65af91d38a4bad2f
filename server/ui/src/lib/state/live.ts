// The live view of a container: one whole summary, then the newest slots as the
// server sends them. Every few seconds the whole is asked for again, as the
// tables' sums cannot forget what left the window, and as late slots may have come.
// Of a long window the server sends coarser slots, and is then asked for such ones.

import { ApiError, address, api, containerPath, serverNow } from "../api/client";
import { follow, type ServerEvent } from "../api/events";
import type { Summary } from "../api/types";
import { append, HoleError, lastCovered, trim } from "../slots";

const AGAIN_EVERY = 10_000;
const RETRY_AFTER = 2000;
const ROWS = 200;
/** Pieces kept, to be put behind a summary that was asked for before they came. */
const PIECES = 30;

export interface FeedListener {
  onSummary(summary: Summary): void;
  onConnected(connected: boolean): void;
  onError(error: unknown): void;
  onEnd(): void;
}

export class LiveFeed {
  private readonly closing = new AbortController();
  private summary: Summary | null = null;
  private pieces: Summary[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking = false;
  /** Length of the slots that are followed, in seconds. */
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
    await this.ask();
  }

  close(): void {
    this.closing.abort();
    this.following.abort();
    clearTimeout(this.timer);
  }

  /** The newest slots, of the last seconds at first, as long as the page is live. */
  private listen(): void {
    this.following.abort();
    this.following = new AbortController();
    const { signal } = this.following;
    const url = address(`${containerPath(this.id)}/live`, { step: this.step, top: ROWS, process: this.process });
    void follow(url, signal, {
      onEvent: (event) => signal.aborted || this.received(event),
      onConnected: (connected) => signal.aborted || this.listener.onConnected(connected),
      onRefused: (error) => signal.aborted || this.listener.onError(error),
    });
  }

  /** Asks for the whole window. */
  private async ask(): Promise<void> {
    if (this.asking || this.closing.signal.aborted) return;
    this.asking = true;
    clearTimeout(this.timer);
    let wait = AGAIN_EVERY;
    try {
      const now = Math.ceil(serverNow());
      const query = { from: now - this.span, to: now, step: 1, top: ROWS, process: this.process };
      const whole = trim(await api.summary(this.id, query, this.closing.signal));
      if (this.closing.signal.aborted) return;
      this.summary = whole;
      if (whole.range.step !== this.step) {
        this.step = whole.range.step;
        this.pieces = [];
        this.listen();
      }
      for (const piece of this.pieces) this.put(piece);
      this.listener.onSummary(this.summary);
    } catch (error) {
      if (this.closing.signal.aborted) return;
      wait = RETRY_AFTER;
      this.listener.onError(error);
      if (error instanceof ApiError && (error.refused || error.status === 404)) return;
    } finally {
      this.asking = false;
    }
    this.timer = setTimeout(() => void this.ask(), wait);
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
      this.listener.onError(new ApiError(0, "", "the live stream could not be read"));
      return;
    }
    this.pieces = [...this.pieces.slice(1 - PIECES), piece];
    if (this.summary === null) return;
    if (this.put(piece)) this.listener.onSummary(this.summary);
    else void this.ask();
  }

  /** Puts `piece` behind the summary; false when it does not follow. */
  private put(piece: Summary): boolean {
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
