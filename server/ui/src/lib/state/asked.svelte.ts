// A table that the server filters, groups, sorts and cuts, in this order: no row that
// matters is lost before it is counted.

import { ApiError, api } from "../api/client";
import type { RowSums, Summary, Table } from "../api/types";
import { later, tableInterval } from "../pace";
import type { Page } from "./page.svelte";
import { Visible } from "./visible.svelte";

/** Interval in ms at which a table of a live page is fetched again; of a long view it is longer. */
const LIVE_INTERVAL = 3000;
const RETRY_DELAY = 2000;

/** What to ask for. Every field is a parameter of the API. */
export interface Question {
  kind: string;
  group: string | null;
  filter: string;
  sort: string;
  order: "asc" | "desc";
  limit: number;
}

export interface Answer<Row> {
  rows: Row[];
  total: RowSums;
  rest: RowSums;
  /** The range of the question, and the instant that the rows are of; null if they are of the range. */
  range: Summary["range"];
  at: number | null;
}

export class AskedTable<Row> {
  answer = $state.raw<Answer<Row> | null>(null);
  error = $state.raw<ApiError | null>(null);

  /** Of the panel with the table. */
  readonly visible = new Visible();

  private pending = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly page: Page,
    private readonly read: (row: never) => Row,
  ) {}

  /** Fetches the table, again and again while the page is live and somebody sees it. */
  ask(question: Question, delay = 0): void {
    this.stop();
    this.pending = new AbortController();
    this.timer = setTimeout(() => void this.fetch(question, this.pending.signal), delay);
  }

  stop(): void {
    this.pending.abort();
    clearTimeout(this.timer);
  }

  /** Forgets the answer: the page has all rows itself. */
  clear(): void {
    this.stop();
    this.answer = this.error = null;
  }

  private async fetch(question: Question, signal: AbortSignal): Promise<void> {
    const { range } = this.page;
    const { from, to, step } = range;
    const { at, process } = this.page.view;
    let wait = tableInterval(this.page.view.span, LIVE_INTERVAL);
    try {
      const table: Table = await api.table(this.page.id, { ...question, from, to, step, at, process }, signal);
      if (signal.aborted) return;
      this.answer = { rows: (table.rows as never[]).map(this.read), total: table.total, rest: table.rest, range, at };
      this.error = null;
    } catch (error) {
      if (signal.aborted) return;
      this.error = ApiError.of(error);
      // A filter that is not valid stays so.
      if (this.error.status >= 400 && this.error.status < 500 && this.error.status !== 429) return;
      wait = RETRY_DELAY;
    }
    if (this.page.live || this.error !== null) later(() => void this.fetch(question, signal), wait, () => this.visible.now, (timer) => (this.timer = timer));
  }
}
