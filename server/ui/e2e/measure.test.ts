// Measures what the page costs the browser, by Chromium's own counts. `cargo xtask bench page` runs it.
//
// The shop of common/examples/page_batch, live: an hour of it has some 2,900 processes.

import type { Browser, CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { browser, CONTAINER, Server, still, tab } from "./system";

const HOUR = 3600;
/** In seconds. */
const SETTLE = 10;
const LIVE = 30;
const server = new Server();
const now = (): number => Math.floor(Date.now() / 1000);
const started = now() - HOUR - (now() % 60);
let posted = started;
let chrome: Browser;
let admin: string;

async function catchUp(): Promise<void> {
  const until = now();
  if (until > posted) await server.postBatch(started, posted, until - posted);
  posted = Math.max(posted, until);
}

beforeAll(async () => {
  await server.start();
  admin = server.token("--admin");
  await catchUp();
  chrome = await browser();
});

afterAll(async () => {
  await chrome?.close();
  await server.stop();
});

/** A row of the benchmark. */
function report(name: string, variant: string, value: number, unit: string): void {
  process.stdout.write(`${JSON.stringify({ bench: "page", case: name, variant, value, unit })}\n`);
}

/** CPU time of all of Chromium's processes, in seconds. */
async function cpuSeconds(session: CDPSession): Promise<number> {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return processInfo.reduce((sum, each) => sum + each.cpuTime, 0);
}

/** Posts each second for some seconds. */
async function live(seconds: number): Promise<void> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    await catchUp();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Durations in ms of the tasks and the interactions from now on, as the page is told. */
async function observe(page: Page): Promise<void> {
  await page.evaluate(() => {
    const seen = { tasks: [] as number[], events: [] as number[] };
    Object.assign(window, { seen });
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => seen.tasks.push(entry.duration))).observe({ type: "longtask" });
    // 16 ms is the least that Chromium reports; shorter ones are not in the list.
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => (entry as PerformanceEventTiming & { interactionId: number }).interactionId > 0 && seen.events.push(entry.duration))).observe({ type: "event", durationThreshold: 16 } as PerformanceObserverInit);
  });
}

const taken = (page: Page): Promise<{ tasks: number[]; events: number[] }> => page.evaluate(() => (window as unknown as { seen: { tasks: number[]; events: number[] } }).seen);

test("a live hour, then interactions", async () => {
  const { context, page, wrong } = await tab(chrome);
  const session = await chrome.newBrowserCDPSession();
  await page.goto(`${server.url}/c/${CONTAINER}?span=${HOUR}#token=${admin}`);
  await page.locator(".dot.on").waitFor();
  await live(SETTLE);
  await observe(page);
  const [cpu, began] = [await cpuSeconds(session), Date.now()];
  await live(LIVE);
  const share = (100 * ((await cpuSeconds(session)) - cpu)) / ((Date.now() - began) / 1000);
  const { tasks } = await taken(page);
  report("live hour", "all processes of Chromium", share, "% of a core");
  report("live hour", `tasks over 100 ms in ${LIVE} s`, tasks.filter((each) => each > 100).length, "tasks");
  report("live hour", "longest task", Math.max(0, ...tasks), "ms");

  // The past, so that only what is pressed makes it work.
  await page.keyboard.press("l");
  await page.waitForURL(/[?&]t=/);
  await still(page, page.locator(".u-over").first());
  await page.evaluate(() => (window as unknown as { seen: { events: number[] } }).seen.events.splice(0));
  const keys = ["ArrowLeft", "ArrowLeft", "w", "w", "a", "d", "s", "s", "n", "p"];
  for (const key of keys) {
    await page.keyboard.press(key);
    await page.waitForTimeout(400);
  }
  await page.getByRole("treegrid", { name: "files", exact: true }).getByRole("button", { name: "written" }).click();
  await page.getByRole("treegrid", { name: "processes", exact: true }).locator("tbody tr").first().click();
  await page.waitForTimeout(1000);
  const events = (await taken(page)).events.sort((a, b) => a - b);
  report("interactions", `${keys.length + 2} keys and clicks, slowest`, events.at(-1) ?? 16, "ms");
  report("interactions", "median of those over 16 ms", events[Math.floor(events.length / 2)] ?? 16, "ms");
  expect(wrong).toEqual([]);
  await context.close();
});
