import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Listener } from "../src/lib/api/events";
import type { Summary } from "../src/lib/api/types";
import { drawInterval, later, tableInterval, UNSEEN_INTERVAL, wholeInterval } from "../src/lib/pace";
import { summary } from "./summary";

let handlers: Listener;
let wholes = 0;
let whole: Summary;

vi.mock("../src/lib/api/events", () => ({
  follow: (_url: string, _signal: AbortSignal, given: Listener) => {
    handlers = given;
    return Promise.resolve();
  },
}));
vi.mock("../src/lib/api/client", () => ({
  ApiError: class extends Error {},
  MAX_NAMES: 12,
  address: (path: string) => path,
  containerPath: (id: string) => id,
  serverNow: () => 1000,
  api: {
    summary: () => {
      wholes += 1;
      return Promise.resolve(whole);
    },
  },
}));

const { LiveFeed } = await import("../src/lib/state/live");

describe("a live view", () => {
  const drawn: Summary[] = [];
  const newest: number[] = [];
  const page = { hidden: false };

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    vi.stubGlobal("document", page);
    // A hidden tab has no frames.
    const frame = (act: () => void): unknown => setTimeout(() => (page.hidden ? frame(act) : act()), 16);
    vi.stubGlobal("requestAnimationFrame", frame);
    vi.stubGlobal("cancelAnimationFrame", (id: never) => clearTimeout(id));
    drawn.length = newest.length = wholes = 0;
    page.hidden = false;
    whole = summary(1000 - 10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  async function open(span: number): Promise<InstanceType<typeof LiveFeed>> {
    const feed = new LiveFeed("c", span, null, {
      onNewest: (piece) => newest.push(piece.range.from),
      onSummary: (summary) => drawn.push(summary),
      onConnected: () => {},
      onError: (error) => expect.unreachable(String(error)),
      onEnd: () => {},
    });
    await feed.open();
    return feed;
  }
  /** The next seconds arrive, one each second. */
  async function seconds(from: number, count: number): Promise<void> {
    for (let at = from; at < from + count; at++) {
      handlers.onEvent({ event: "slots", data: JSON.stringify(summary(at, [at])) });
      await vi.advanceTimersByTimeAsync(1000);
    }
  }

  test("of a quarter of an hour is drawn each second", async () => {
    const feed = await open(900);
    await seconds(1000, 5);
    await vi.advanceTimersByTimeAsync(100);
    expect(drawn.map((each) => each.range.to)).toEqual([1000, 1001, 1002, 1003, 1004, 1005]);
    feed.close();
  });

  test("of an hour tells each second, and appends them all when it has moved by a pixel", async () => {
    const feed = await open(3600);
    await seconds(1000, 13);
    expect(newest).toEqual(Array.from({ length: 13 }, (_, i) => 1000 + i));
    // The whole, the first piece, then what arrived in the six seconds after each.
    expect(drawn.map((each) => each.range.to)).toEqual([1000, 1001, 1007, 1013]);
    expect(drawn.at(-1)?.cpu.total.slice(-3)).toEqual([1010, 1011, 1012]);
    expect(wholes).toBe(1);
    feed.close();
  });

  test("fetches the whole again if there is a hole", async () => {
    const feed = await open(900);
    await seconds(1003, 1);
    await vi.advanceTimersByTimeAsync(100);
    expect(wholes).toBe(2);
    feed.close();
  });

  test("that nobody can see is neither drawn nor asked for, until somebody does", async () => {
    const feed = await open(900);
    page.hidden = true;
    await seconds(1000, 40);
    expect([drawn.length, wholes, newest.length]).toEqual([1, 1, 40]);
    page.hidden = false;
    await vi.advanceTimersByTimeAsync(100);
    expect(wholes).toBeGreaterThan(1);
    expect(drawn.length).toBeGreaterThan(1);
    feed.close();
  });
});

describe("the pace of a live page", () => {
  test("waits until somebody sees the result, but not for long, and in a hidden tab for that", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "Date"] });
    const page = { hidden: false };
    vi.stubGlobal("document", page);
    try {
      let isSeen = true;
      let calls = 0;
      const start = (): void => later(() => (calls += 1), 3000, () => isSeen, () => {});
      start();
      vi.advanceTimersByTime(3000);
      expect(calls).toBe(1);
      isSeen = false;
      start();
      vi.advanceTimersByTime(UNSEEN_INTERVAL - 1000);
      expect(calls).toBe(1);
      vi.advanceTimersByTime(2000);
      expect(calls).toBe(2);
      page.hidden = isSeen = true;
      start();
      vi.advanceTimersByTime(10 * UNSEEN_INTERVAL);
      expect(calls).toBe(2);
      page.hidden = false;
      vi.advanceTimersByTime(1000);
      expect(calls).toBe(3);
    } finally {
      vi.useRealTimers();
      vi.unstubAllGlobals();
    }
  });

  test("is that of its span, within bounds", () => {
    expect([60, 900, 3600, 86_400].map(drawInterval)).toEqual([1000, 1000, 6000, 10_000]);
    expect([900, 3600, 86_400].map((span) => tableInterval(span, 3000))).toEqual([3000, 12_000, 30_000]);
    expect([900, 3600, 86_400].map((span) => wholeInterval(span, 10_000))).toEqual([10_000, 36_000, 60_000]);
  });
});
