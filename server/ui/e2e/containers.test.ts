// Compares the pages of real containers with what their program reports: through the
// kernel, the agent's image, the server's image and a browser.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Container, System, type Flow, type Truth } from "./docker";
import { browser, screenshot, tab } from "./system";

const system = new System();
const containers: Container[] = [];
let chrome: Browser;

beforeAll(async () => {
  await system.start();
  chrome = await browser();
});

afterAll(async () => {
  await chrome?.close();
  for (const container of containers) container.remove();
  system.stop();
});

function container(...work: string[]): Container {
  const made = Container.create(...work);
  containers.push(made);
  return made;
}

/** Opens the page of a container by its owner's link. */
async function open(of: Container, search = "") {
  const opened = await tab(chrome);
  const link = `${system.url}/c/${of.id}${search}#token=${system.token("--container", of.id)}`;
  // The server does not know the container before the agent's first post about it.
  for (let attempt = 0; ; attempt++) {
    await opened.page.goto(link);
    try {
      await opened.page.getByTestId("tile-cpu").waitFor({ timeout: 1_000 + 500 * attempt });
      return opened;
    } catch (error) {
      if (attempt > 30) throw new Error(`the page shows no figures; logs of server and agent:\n${system.logs()}`, { cause: error });
    }
    await opened.page.goto("about:blank");
  }
}

/** Reloads a page of the past until it shows `expected`, as the last second arrives with a delay. */
async function eventually(page: Page, read: () => Promise<unknown>, expected: unknown): Promise<void> {
  const reload = async (): Promise<unknown> => {
    await page.reload();
    await page.getByTestId("tile-cpu").waitFor();
    return read();
  };
  await expect.poll(reload, { timeout: 30_000, interval: 500 }).toEqual(expected);
}

const row = (page: Page, table: string, text: string) =>
  page.getByRole("table", { name: table, exact: true }).or(page.getByRole("treegrid", { name: table, exact: true })).locator("tbody tr").filter({ hasText: text });
const title = async (page: Page, table: string, text: string, column: number): Promise<string | null> => {
  const cell = row(page, table, text).locator("td").nth(column);
  return (await cell.count()) === 1 ? cell.getAttribute("title") : null;
};
const number = (value: number): string => value.toLocaleString("en");
const flowText = (flow: Flow, operations: string): string => `${number(flow.bytes)} bytes in ${number(flow.operations)} ${operations}`;
function first<T>(list: T[]): T {
  const [one] = list;
  if (one === undefined) throw new Error("the workload did not report it");
  return one;
}

test("bytes of a file are exact, and the exit code is shown", async () => {
  const writer = container("file", "--by", "read-write");
  const file = first((await writer.run()).truth.files);
  const { context, page, wrong } = await open(writer);
  const figures = async () => [await title(page, "files", file.path, 1), await title(page, "files", file.path, 2)];
  await eventually(page, figures, ["10,240,000 bytes in 2,500 reads", "10,240,000 bytes in 2,500 writes"]);
  expect([flowText(file.read, "reads"), flowText(file.written, "writes")]).toEqual(await figures());
  // The busiest comes first.
  expect(await row(page, "files", "").first().textContent()).toContain(file.path);
  expect(await page.locator(".state").innerText()).toContain("exited 0");
  // Name and image come from Docker, as the agent has its socket.
  expect(await page.locator(".facts").innerText()).toContain("bubble-workload");
  await screenshot(page, "real-file");
  expect(wrong).toEqual([]);
  await context.close();
});

test("CPU time of a process, and the sum of all processes", async () => {
  const burner = container("burn", "--seconds", "2");
  const { truth } = await burner.run();
  const used = truth.processes[1]?.cpu_ns ?? 0;
  const { context, page, wrong } = await open(burner);
  const cpu = async (): Promise<number> => {
    const text = await row(page, "processes", "burn-here").getByTitle("ns of CPU time").getAttribute("title");
    return Number(text?.replace(/\D/g, ""));
  };
  await eventually(page, async () => Math.abs((await cpu()) - used) < 0.02 * used, true);
  const difference = page.locator(".accounting div").filter({ hasText: "difference" }).locator("dd");
  // On a busy host Docker may remove the cgroup before its last reading. The page then says so.
  const isTooLow = (await page.getByText("its own count is too low").count()) > 0;
  const percent = Number((await difference.innerText()).replace("−", "-").replace("%", ""));
  if (!isTooLow) expect(Math.abs(percent)).toBeLessThan(1);
  console.log(`${number(used)} ns used, ${number(await cpu())} ns on the page`);
  expect(wrong).toEqual([]);
  await context.close();
});

test("a container that fails after 0.3 s", async () => {
  const short = container("exit", "--after-ms", "300", "--code", "3");
  expect((await short.run()).code).toBe(3);
  const { context, page, wrong } = await open(short);
  await eventually(page, async () => (await page.locator(".state").innerText()).replace(/ after.*/, ""), "exited 3");
  expect(await page.locator(".state.bad").count()).toBe(1);
  expect(wrong).toEqual([]);
  await context.close();
});

test("a connection of two containers is exact on both pages", async () => {
  const server = container("tcp-server", "--listen", "0.0.0.0:4000");
  const served = server.run();
  await server.listening();
  const client = container("tcp-client", "--connect", `${server.address}:4000`);
  const truths: [Container, Truth][] = [[client, (await client.run()).truth], [server, (await served).truth]];
  for (const [of, truth] of truths) {
    const connection = first(truth.connections);
    const { context, page, wrong } = await open(of);
    const figures = async () => {
      const peer = page.getByRole("treegrid", { name: "network peers", exact: true }).locator("tbody tr").first();
      // A reload closes the row.
      if ((await peer.getAttribute("aria-expanded")) === "false") await peer.click();
      await row(page, "connections", connection.peer).waitFor();
      return Promise.all([1, 2].map((column) => title(page, "connections", connection.peer, column)));
    };
    await eventually(page, figures, [flowText(connection.received, "calls"), flowText(connection.sent, "calls")]);
    expect([connection.received.bytes, connection.sent.bytes].sort()).toEqual([111_000, 777_000]);
    expect(wrong).toEqual([]);
    await context.close();
  }
});

/** Runs in the page: unfolds the table of files, and records when each file was first drawn, in ms since 1970. */
function watch(): void {
  const seen: Record<string, number> = {};
  Object.assign(window, { seen });
  const record = (): void => {
    document.querySelectorAll<HTMLElement>(".fold[aria-expanded=false]").forEach((fold) => fold.click());
    const names = document.querySelector("table[aria-label=files]")?.textContent?.match(/pulse-\d{6}/g) ?? [];
    const fresh = names.filter((name) => !(name in seen));
    if (fresh.length > 0) requestAnimationFrame(() => fresh.forEach((name) => (seen[name] ??= Date.now())));
  };
  new MutationObserver(record).observe(document.body, { subtree: true, childList: true, characterData: true });
}

test("a write is soon on the live page; prints the delays", async () => {
  const PULSES = 20;
  // Not a whole second, so that the writes are spread over the agent's second.
  const pulse = container("pulse", "--count", String(PULSES), "--interval-ms", "1037", "--delay-ms", "10000", "--linger-ms", "10000");
  const running = pulse.run();
  const { context, page, wrong } = await open(pulse, "?span=60");
  await page.locator(".dot.on").waitFor();
  await page.evaluate(watch);
  const seen = (): Promise<Record<string, number>> => page.evaluate(() => (window as unknown as { seen: Record<string, number> }).seen);
  await expect.poll(async () => Object.keys(await seen()).length, { timeout: 60_000, interval: 250 }).toBe(PULSES);
  await screenshot(page, "real-live");
  const at = await seen();
  const { truth } = await running;
  const took = truth.pulses.map((one) => (at[one.path.split("/").pop() ?? ""] ?? NaN) - one.at_ns / 1e6);
  expect(took.length).toBe(PULSES);
  expect(took.every((ms) => ms > 0)).toBe(true);
  const shown = (ms: number | undefined): string => ((ms ?? NaN) / 1000).toFixed(2);
  const sorted = [...took].sort((a, b) => a - b);
  console.log(`from a write in a container to the page: median of ${PULSES} ${shown(sorted[PULSES / 2])} s, longest ${shown(sorted[PULSES - 1])} s; one after the other: ${took.map(shown).join(" ")}`);
  expect(wrong).toEqual([]);
  await context.close();
}, 120_000);
