// axe finds no violation on any view of the page.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { browser, CAPTURE, CONTAINER, DESKTOP, Server, tab } from "./system";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const server = new Server();
let chrome: Browser;
let admin: string;
const now = Math.floor(Date.now() / 1000);
const started = now - 600 - (now % 60);

beforeAll(async () => {
  await server.start();
  admin = server.token("--admin");
  await server.postBatch(started, started, 300);
  await server.upload(admin, "a capture.scap", CAPTURE);
  chrome = await browser();
});

afterAll(async () => {
  await chrome?.close();
  await server.stop();
});

/** What axe finds on the page: the rule, and the elements that break it. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } };
    return (await axe.run()).violations;
  });
  return found.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
}

const range = `from=${started}&to=${started + 240}`;
const VIEWS: [string, string, string][] = [
  ["the list", "/", "table"],
  ["hosts", "/hosts", "main .card, main table"],
  ["recordings", "/recordings", "main .card"],
  ["a container", `/c/${CONTAINER}?${range}`, ".lanes canvas"],
  ["a process in the side panel", `/c/${CONTAINER}?${range}&show=process:1040-${BigInt(started) * 1_000_000_000n + 400_000_000n}-1`, ".side dl"],
  ["a comparison", `/c/${CONTAINER}?${range}&vs=0ddba11c0de5`, ".lanes canvas"],
];

for (const scheme of ["light", "dark"] as const) {
  test.each(VIEWS)(`${scheme}: %s`, async (_name, path, ready) => {
    const { context, page } = await tab(chrome, { ...DESKTOP, scheme });
    await page.goto(`${server.url}${path}#token=${admin}`);
    await page.locator(ready).first().waitFor();
    if (path.startsWith("/c/")) await page.locator("dl.accounting").waitFor();
    expect(await violations(page)).toEqual([]);
    await context.close();
  });
}
