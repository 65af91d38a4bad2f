// What people come to the page for, on recorded data with known answers: the right process, second, file and
// peer are on the screen after at most three clicks.

import { readFileSync } from "node:fs";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { browser, CONTAINER, screenshot, Server, tab } from "./system";

const MAX_CLICKS = 3;
const server = new Server();
const now = Math.floor(Date.now() / 1000);
const started = now - 600 - (now % 60);
/** The night before: a full minute after 3 o'clock. */
const night = now - (now % 86_400) - 86_400 + 3 * 3600 + 12 * 60;
/** The container of a capture of 2017, the second in which it begins, and the one in which its proxy is busy. */
const CAPTURED = "59fd49aa4072";
const CAPTURE = 1_506_127_481;
const BUSY = CAPTURE + 3;
const BUILD = "b01dfeed2000";
let chrome: Browser;
let admin: string;

beforeAll(async () => {
  await server.start();
  admin = server.token("--admin");
  await server.postJobs(night);
  await server.postSlow(night);
  await server.postProxy(started + 180, 60);
  // Later than the proxy: the report of the host is that of the last agent.
  await server.postBatch(started, started, 300);
  await server.postBuild(started, 20);
  await postCapture();
  chrome = await browser();
});

afterAll(async () => {
  await chrome?.close();
  await server.stop();
});

/** Five seconds of a proxy, as the chisel posts them: it answers one request, in the fourth second. */
async function postCapture(): Promise<void> {
  for (let at = CAPTURE; at < CAPTURE + 5; at++) {
    const isBusy = at === BUSY;
    await server.postEvent("cpu", at, [["0", "haproxy", "13969", "9", "15492", CAPTURED, "/usr/sbin/haproxy", "-f /haproxy.cfg", "1", isBusy ? 50_000_000 : 1_000_000]]);
    if (!isBusy) continue;
    const fd = (name: string, way: string, bytes: number): (string | number)[] => ["13969", "9", CAPTURED, name, way, bytes];
    await server.postEvent("fd", at, [fd("172.17.0.3:53144->172.17.0.2:8000", "out", 78), fd("/etc/haproxy/errors/502.http", "in", 144)]);
  }
}

const clock = (at: number): string => new Date(at * 1000).toISOString().slice(11, 19);
const row = (page: Page, table: string, text: string): Locator =>
  page.getByRole("table", { name: table, exact: true }).or(page.getByRole("treegrid", { name: table, exact: true })).locator("tbody tr").filter({ hasText: text }).first();
const first = (page: Page, table: string): Locator => page.getByRole("treegrid", { name: table, exact: true }).locator("tbody tr").first();

/** Somebody with a task, who starts at a path. */
class Person {
  private clicks = 0;

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    private readonly wrong: string[],
  ) {}

  static async at(path: string): Promise<Person> {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(`${server.url}${path}#token=${admin}`);
    return new Person(context, page, wrong);
  }

  async click(element: Locator): Promise<void> {
    this.clicks += 1;
    await element.click();
  }

  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text);
  }

  /** Types words into the list's field, which a key focuses. */
  async search(words: string): Promise<void> {
    await this.page.keyboard.press("/");
    await this.page.keyboard.insertText(words);
  }

  /** The task is done. */
  async done(): Promise<void> {
    expect(this.clicks).toBeLessThanOrEqual(MAX_CLICKS);
    expect(this.wrong).toEqual([]);
    await this.context.close();
  }
}

/** The shop in part of its life. */
const shop = async (from: number, to: number): Promise<Person> => {
  const person = await Person.at(`/c/${CONTAINER}?from=${started + from}&to=${started + to}`);
  await person.page.getByTestId("tile-cpu").waitFor();
  return person;
};

test("a: one of 300 jobs was killed at night: when, by whom, why", async () => {
  const person = await Person.at("/");
  const { page } = person;
  await page.getByRole("table").first().waitFor();
  await person.search("oom");
  const found = page.locator("table.list tbody tr");
  await expect.poll(() => found.count()).toBe(1);
  expect(await found.innerText()).toMatch(/✖ 137/);
  await person.click(found.getByRole("link", { name: "train-217" }));
  const account = page.getByTestId("verdict");
  await expect.poll(() => account.innerText()).toContain(`${clock(night + 41)} the kernel killed python3 (pid 217; 800 MiB resident, limit 800 MiB)`);
  expect(await account.innerText()).toContain("it grew 10 MiB/s for 41 s; the container ended with 137");
  expect(await page.locator(".who").innerText()).toMatch(/137/);
  await screenshot(page, "task-killed-job");
  // The evidence: the second of the kill, and how the process ended.
  await person.click(account.getByRole("link", { name: /the kernel killed python3/ }));
  await page.waitForURL(new RegExp(`[?&]t=${night + 41}`));
  await expect.poll(async () => (await row(page, "processes", "python3").innerText()).replace(/\s+/g, " ")).toMatch(/python3.* 217 .*signal KILL.*800 MiB/);
  await person.done();
});

test("b: which process used the CPU in a minute, on which core", async () => {
  const person = await shop(0, 300);
  const { page } = person;
  await page.keyboard.press("t");
  await person.type(`${clock(started + 60)}-${clock(started + 90)}`);
  await page.keyboard.press("Enter");
  await expect.poll(() => page.getByTestId("verdict").innerText()).toContain("core 3 full all the time");
  // 30 s of a whole core.
  expect(await first(page, "processes").innerText()).toMatch(/sh/);
  expect(await row(page, "processes", "postgres").getByTitle("ns of CPU time").getAttribute("title")).toBe("30,000,000,000 ns of CPU time");
  await person.done();
});

test("c: which file is written most, and by whom", async () => {
  const person = await shop(240, 300);
  const { page } = person;
  await person.click(page.getByRole("treegrid", { name: "files", exact: true }).getByRole("button", { name: "written" }));
  await expect.poll(() => first(page, "files").textContent()).toContain("/var/lib/db/base/16384/2619");
  const cells = await first(page, "files").locator("td").allInnerTexts();
  expect(cells[2]).toBe("12 MiB");
  expect(cells.at(-1)).toBe("postgres");
  await person.done();
});

test("d: whom does it talk to, which peer fails and when, and who the peers are", async () => {
  const person = await shop(180, 300);
  const { page } = person;
  expect(await first(page, "network peers").textContent()).toContain("10.9.9.9:5432");
  const known = row(page, "network peers", "10.1.0.2").getByRole("link", { name: "shop-proxy" });
  await known.waitFor();
  expect(await known.getAttribute("href")).toBe(`/c/b0bb1ed0cafe?from=${started + 180}&to=${started + 300}`);
  await first(page, "network peers").hover();
  await person.click(first(page, "network peers").getByRole("button", { name: "more about this peer" }));
  const side = page.getByRole("dialog");
  // The database tries every 30 seconds.
  await side.getByText("✖ 4 connections failed").waitFor();
  expect(await side.getByRole("table").locator("tbody tr").allInnerTexts()).toEqual([expect.stringContaining("postgres 40")]);
  await person.click(side.getByRole("button", { name: "postgres 40" }));
  await side.getByRole("heading", { name: "postgres 40" }).waitFor();
  await person.done();
});

test("e: is it slow by its CPU limit, by memory or by the disk", async () => {
  const cpu = await shop(60, 90);
  expect(await cpu.page.getByTestId("verdict").innerText()).toMatch(/its CPU limit of 3 held back [\d.]+ % of the CPU time that it could have used/);
  await cpu.done();

  const range = `?from=${night}&to=${night + 60}`;
  const memory = await Person.at(`/c/510e00000001${range}`);
  const verdict = memory.page.getByTestId("verdict");
  await expect.poll(() => verdict.innerText()).toContain("some task waited for memory 40 % of the time");
  expect(await verdict.innerText()).toContain("100 % of its memory limit at its peak");
  expect(await verdict.innerText()).not.toMatch(/the disk|CPU limit/);
  expect(await row(memory.page, "processes", "redis-server").innerText()).toContain("255 MiB");
  await memory.done();

  const disk = await Person.at(`/c/510e00000002${range}`);
  await expect.poll(() => disk.page.getByTestId("verdict").innerText()).toContain("some task waited for the disk 65 % of the time");
  expect(await disk.page.getByTestId("verdict").innerText()).not.toMatch(/for memory|CPU limit/);
  // Who waits: 65 % of a minute; and for what: 40 MiB in each second.
  const restore = row(disk.page, "processes", "pg_restore");
  expect(await restore.getByTitle("for a disk 39").count()).toBe(1);
  await expect.poll(() => first(disk.page, "files").textContent()).toContain("/backup/shop.dump");
  expect(await first(disk.page, "files").innerText()).toContain("2.34 GiB");
  await screenshot(disk.page, "task-slow-disk");
  await disk.done();
});

test("f: this moment is sent to somebody without an account", async () => {
  const person = await shop(240, 300);
  const { page } = person;
  await person.click(page.getByText("Share", { exact: true }));
  await person.click(page.getByRole("button", { name: "Create link" }));
  const link = await page.getByRole("textbox", { name: "shared link" }).inputValue();
  const receiver = await tab(chrome);
  const asked: string[] = [];
  receiver.page.on("request", (request) => asked.push(request.url()));
  await receiver.page.goto(link);
  await row(receiver.page, "network peers", "10.1.0.2").waitFor();
  expect(receiver.page.url()).toContain(`from=${started + 240}&to=${started + 300}`);
  // Names of other containers are not for the receiver of a link.
  expect(asked.filter((url) => url.includes("/neighbours"))).toEqual([]);
  expect(await receiver.page.getByText("shop-proxy").count()).toBe(0);
  expect(receiver.wrong).toEqual([]);
  await receiver.context.close();
  await person.done();
});

test("g: in what two runs differ", async () => {
  const person = await Person.at(`/c/10b000000010?from=${night}&to=${night + 60}`);
  const { page } = person;
  await page.getByTestId("tile-cpu").waitFor();
  await person.click(page.getByText("Compare", { exact: true }).first());
  await page.getByRole("searchbox", { name: "compare with" }).fill("train-217");
  await page.keyboard.press("Enter");
  const figures = page.getByRole("table", { name: "differences", exact: true });
  await figures.waitFor();
  expect(await figures.locator("tbody tr").filter({ hasText: "exit" }).first().innerText()).toMatch(/0\s+137/);
  await person.done();
});

test("h: the table is exported, the address says the same moment", async () => {
  const person = await shop(240, 300);
  const { page } = person;
  await person.click(page.getByText("Export", { exact: true }));
  const [download] = await Promise.all([page.waitForEvent("download"), person.click(page.getByRole("button", { name: "files as CSV" }))]);
  const text = readFileSync(await download.path(), "utf8");
  expect(text).toMatch(/\/var\/lib\/db\/base\/16384\/2619.*12582912/);
  await person.done();
});

test("i: one container of 300 is found by its label or image, and the list fits", async () => {
  const person = await Person.at("/");
  const { page } = person;
  await page.setViewportSize({ width: 1400, height: 900 });
  const rows = page.locator("table.list tbody tr");
  await rows.first().waitFor();
  expect(await page.locator(".scroll").evaluate((each) => each.scrollWidth - each.clientWidth)).toBeLessThanOrEqual(0);
  await person.search("label:team=ml image:train:1 train-2");
  await expect.poll(() => rows.allInnerTexts()).toEqual([expect.stringContaining("train-267")]);
  await person.done();
});

test("j: a capture is found by its name, opens at its time, and shows its process, second, file and peer", async () => {
  const person = await Person.at("/");
  const { page } = person;
  await page.locator("table.list tbody tr").first().waitFor();
  await person.search("recording:sysdig");
  await person.click(page.getByRole("link", { name: CAPTURED }));
  await page.getByText("● sysdig (e2e)").waitFor();
  expect(await row(page, "processes", "haproxy").innerText()).toContain("54 ms");
  expect(await page.locator("body").innerText()).toContain("2017-09-23");
  await page.keyboard.press("t");
  await person.type(clock(BUSY));
  await page.keyboard.press("Enter");
  await page.waitForURL(new RegExp(`[?&]t=${BUSY}`));
  // 50 ms of the second.
  await expect.poll(() => row(page, "processes", "haproxy").innerText()).toMatch(/5(\.0+)? %/);
  await expect.poll(() => row(page, "files", "/etc/haproxy/errors/502.http").locator("td").nth(1).innerText()).toBe("144 B");
  expect(await first(page, "network peers").textContent()).toMatch(/172\.17\.0\.2:8000.*78 B/);
  await screenshot(page, "task-capture");
  await person.done();
});

test("k: which agents are dead, and what can they not count", async () => {
  const person = await Person.at(`/c/${BUILD}`);
  const { page } = person;
  // The overview as a server answers it ten minutes after node3 was heard for the last time.
  await page.route("**/api/v1/hosts", async (route) => {
    const overview = (await (await route.fetch()).json()) as { hosts: { host: string; state: string; silent_for: number; missing: string[] }[] };
    for (const host of overview.hosts.filter(({ host }) => host === "node3")) Object.assign(host, { state: "silent", silent_for: 600, missing: ["the kernel has no BTF: it counts what /proc shows"] });
    overview.hosts.sort((a, b) => Number(b.state === "silent") - Number(a.state === "silent"));
    await route.fulfill({ json: { ...overview, sentence: `1 of ${overview.hosts.length} silent` } });
  });
  await page.getByTestId("tile-cpu").waitFor();
  await person.click(page.getByRole("link", { name: "Hosts" }));
  await page.getByRole("status").getByText(/^1 of \d+ silent$/).waitFor();
  const cards = page.getByRole("article");
  expect(await cards.first().innerText()).toMatch(/^node3 silent, 10 min ago/);
  await person.click(cards.first().getByText("1 limitation on this host"));
  await cards.first().getByText("it counts what /proc shows").waitFor();
  const other = page.getByRole("article", { name: "node7" });
  expect(await other.innerText()).toContain("6.12.0-example");
  await person.click(other.getByText("1 limitation on this host"));
  await other.getByText("trampolines are refused").waitFor();
  await screenshot(page, "task-hosts");
  await person.done();
});

test("a header of the list sorts both ways, failures too", async () => {
  const person = await Person.at("/");
  const { page } = person;
  const rows = page.locator("table.list tbody tr");
  await rows.first().waitFor();
  await person.click(page.getByRole("button", { name: "Failed" }));
  await expect.poll(() => rows.first().innerText()).toContain("train-217");
  await person.click(page.getByRole("button", { name: "Failed" }));
  await expect.poll(() => rows.first().innerText()).not.toContain("train-217");
  await person.click(page.getByRole("button", { name: "Memory, peak" }));
  await expect.poll(() => rows.first().innerText()).toContain("train-217");
  await person.done();
});

test("an old link with a root shows the tree below it, with its sums", async () => {
  const { context, page, wrong } = await tab(chrome);
  await page.goto(`${server.url}/static/index.html?container=${CONTAINER}&token=${admin}&root=nginx`);
  await page.waitForURL(new RegExp(`/c/${CONTAINER}\\?root=nginx`));
  // 280 known seconds, in each of which two workers read 40,960 bytes and write 1,000.
  const root = page.getByTestId("root");
  await expect.poll(() => root.innerText()).toMatch(/^nginx and below: 3 processes, .* of CPU, read 21\.9 MiB, written 547 KiB/);
  const rows = page.getByRole("treegrid", { name: "processes", exact: true }).locator("tbody tr");
  expect((await rows.allInnerTexts()).map((text) => /\w+/.exec(text)?.[0])).toEqual(["nginx", "nginx", "nginx"]);
  await screenshot(page, "root");
  await root.getByRole("button", { name: "Show all processes" }).click();
  await row(page, "processes", "postgres").waitFor();
  expect(new URL(page.url()).searchParams.has("root")).toBe(false);
  expect(wrong).toEqual([]);
  await context.close();
});

test("events have counts and groups, and each leads to its moment", async () => {
  const person = await shop(0, 300);
  const { page } = person;
  const panel = page.getByRole("region", { name: "Events" });
  // The database tries every 30 seconds, but for the one in which the agent was away.
  await panel.getByText("connection failed 9, ").waitFor();
  const [newest] = await panel.locator("tbody tr").allInnerTexts();
  expect(newest?.replace(/\s+/g, " ")).toContain(`${clock(started + 270)} connection failed 10.9.9.9:5432 postgres 1`);
  await person.click(panel.getByLabel("grouped"));
  const groups = panel.getByRole("table", { name: "groups of events" }).locator("tbody tr");
  await expect.poll(() => groups.count()).toBe(3);
  expect((await groups.first().innerText()).replace(/\s+/g, " ")).toContain("connection failed 10.9.9.9:5432 postgres 9");
  await person.click(panel.getByLabel("grouped"));
  await screenshot(page, "events");
  await person.click(panel.getByRole("link", { name: clock(started + 270) }));
  await page.waitForURL(new RegExp(`[?&]t=${started + 270}`));
  await person.done();
});

test("the length of a slot is chosen, and is in the address", async () => {
  const person = await shop(0, 300);
  const { page } = person;
  const choice = page.getByRole("combobox", { name: "length of a slot" });
  expect(await choice.locator("option").allInnerTexts()).toEqual(["slots of 1 s", "slots of 1 s", "slots of 10 s", "slots of 1 min"]);
  await choice.selectOption({ label: "slots of 1 min" });
  await page.waitForURL(/[?&]step=60/);
  await page.reload();
  await expect.poll(() => choice.locator("option:checked").innerText()).toBe("slots of 1 min");
  await page.keyboard.press("ArrowLeft");
  await page.waitForURL(new RegExp(`[?&]t=${started + 180}`));
  await page.getByText("sums of the 1 min from").first().waitFor();
  await person.done();
});
