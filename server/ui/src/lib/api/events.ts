// Server-sent events, read with fetch: EventSource cannot send the Authorization
// header, and a token has no place in an address.

import { ApiError, request } from "./client";

export interface ServerEvent {
  event: string;
  data: string;
}

/** Cuts a stream of text into events. Feed it pieces of any size. */
export class EventParser {
  private rest = "";
  private event = "";
  private data: string[] = [];

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.data.length > 0) events.push({ event: this.event || "message", data: this.data.join("\n") });
        this.event = "";
        this.data = [];
        continue;
      }
      const colon = line.indexOf(":");
      // A line that begins with a colon is a comment, sent to keep the connection.
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") this.event = value;
      else if (field === "data") this.data.push(value);
    }
    return events;
  }
}

/** Longest silence, in ms, before a connection is taken for dead: the server says something every few seconds. */
const SILENCE = 30_000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;

export interface Listener {
  onEvent(event: ServerEvent): void;
  /** Called with true when the stream begins, with false when it broke off. */
  onConnected(connected: boolean): void;
  /** Called when the server refuses for good. */
  onRefused(error: ApiError): void;
}

/** Reads `url` until `signal` says stop; connects again, ever more slowly, when it breaks off. */
export async function follow(url: string, signal: AbortSignal, listener: Listener): Promise<void> {
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await readOnce(url, attempt, listener, () => (pause = FIRST_PAUSE));
    } catch (error) {
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
        listener.onRefused(error);
        return;
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
    if (signal.aborted) return;
    listener.onConnected(false);
    await sleep(pause * (0.75 + Math.random() / 2), signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

async function readOnce(url: string, attempt: AbortController, listener: Listener, onData: () => void): Promise<void> {
  let watch = setTimeout(() => attempt.abort(), SILENCE);
  try {
    const response = await request(url, attempt.signal, "text/event-stream");
    const reader = response.body?.getReader();
    if (reader === undefined) return;
    const parser = new EventParser();
    const decoder = new TextDecoder();
    listener.onConnected(true);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watch);
      watch = setTimeout(() => attempt.abort(), SILENCE);
      onData();
      for (const event of parser.push(decoder.decode(value, { stream: true }))) listener.onEvent(event);
    }
  } finally {
    clearTimeout(watch);
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
