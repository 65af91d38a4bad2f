// Reads server-sent events with `fetch`, as `EventSource` cannot send the
// Authorization header and a token must not be part of a URL.

import { ApiError, request } from "./client";

export interface ServerEvent {
  event: string;
  data: string;
}

/** Splits a stream of text into events. Accepts pieces of any size. */
export class EventParser {
  private buffer = "";
  private event = "";
  private data: string[] = [];

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.buffer + text).split(/\r\n|\n|\r(?!$)/);
    this.buffer = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.data.length > 0) events.push({ event: this.event || "message", data: this.data.join("\n") });
        this.event = "";
        this.data = [];
        continue;
      }
      const colon = line.indexOf(":");
      // A line that starts with a colon is a comment, sent to keep the connection alive.
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") this.event = value;
      else if (field === "data") this.data.push(value);
    }
    return events;
  }
}

/** Silence in ms after which a connection counts as dead. The server sends something every few seconds. */
const SILENCE_TIMEOUT = 30_000;
/** Bounds of the delay in ms before the next attempt. It doubles with each failure. */
const MIN_RETRY_DELAY = 500;
const MAX_RETRY_DELAY = 10_000;

export interface Listener {
  onEvent(event: ServerEvent): void;
  /** Called with true when the stream starts, with false when it breaks off. */
  onConnected(connected: boolean): void;
  /** Called if the server refuses, and retrying is useless. */
  onRefused(error: ApiError): void;
}

/** Reads `url` until `signal` aborts. Reconnects with a growing delay when the stream breaks off. */
export async function follow(url: string, signal: AbortSignal, listener: Listener): Promise<void> {
  let delay = MIN_RETRY_DELAY;
  while (!signal.aborted) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await readOnce(url, attempt, listener, () => (delay = MIN_RETRY_DELAY));
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
    await sleep(delay * (0.75 + Math.random() / 2), signal);
    delay = Math.min(delay * 2, MAX_RETRY_DELAY);
  }
}

async function readOnce(url: string, attempt: AbortController, listener: Listener, onData: () => void): Promise<void> {
  let watchdog = setTimeout(() => attempt.abort(), SILENCE_TIMEOUT);
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
      clearTimeout(watchdog);
      watchdog = setTimeout(() => attempt.abort(), SILENCE_TIMEOUT);
      onData();
      for (const event of parser.push(decoder.decode(value, { stream: true }))) listener.onEvent(event);
    }
  } finally {
    clearTimeout(watchdog);
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
