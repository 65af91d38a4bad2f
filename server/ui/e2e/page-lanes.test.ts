// Lanes, the side panel and the comparison in Chromium, on recorded data with known answers. The
// build is made by common/examples/page_batch/build.rs.

import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { browser, CONTAINER, DESKTOP, drag, screenshot, Server, still, tab } from "./system";

const server = new Server();
const BUILD = "b01dfeed2000";
/** The build has 2,000 processes: `make`, and three for each unit but two. */
const UNITS = 667;
const now = Math.floor(Date.now() / 1000);
const started = now - 600 - (now % 60);
let chrome: Browser;
let admin: string;

beforeAll(async () => {
  await server.start();
  admin = server.token("--admin");
  await server.postBuild(started, UNITS);
  await server.postBatch(started, started, 300);
  chrome = await browser();
});

afterAll(async () => {
  await chrome?.close();
  await server.stop();
});

const lanes = (page: Page): Locator => page.getByRole("group", { name: /^lanes of/ });
const side = (page: Page): Locator => page.getByRole("dialog");
const build = (more = ""): string => `/c/${BUILD}?from=${started}&to=${started + 138}${more}`;

/** Opens a page and waits for its lanes. */
async function show(page: Page, path: string, processes: string): Promise<void> {
  await page.goto(`${server.url}${path}#token=${admin}`);
  await page.getByRole("group", { name: `lanes of ${processes}` }).waitFor();
}

/** Moves the keyboard's focus in the lanes until the row is one about `text`. */
async function focusRow(page: Page, text: RegExp): Promise<string> {
  await lanes(page).focus();
  const said = page.locator(".lanes ~ [role=status]");
  for (let row = 0; row < 50; row++) {
    const now = (await said.textContent()) ?? "";
    if (text.test(now)) return now;
    await page.keyboard.press("ArrowDown");
    await expect.poll(() => said.textContent()).not.toBe(now);
  }
  throw new Error(`no row is about ${text}`);
}

test("of 2,000 processes the one that was killed is found with one key, with its command, parents and file", async () => {
  const { context, page, wrong } = await tab(chrome);
  await show(page, build(), "2,000 processes");
  const row = await focusRow(page, /cc1 .*unit333\.c/);
  expect(row).toMatch(/signal KILL; .*killed: out of memory/);
  await page.keyboard.press("Enter");
  await side(page).getByRole("heading", { name: "cc1 2001" }).waitFor();
  const text = await side(page).innerText();
  expect(text).toContain("cc1 -O2 drivers/net/unit333.c -o /tmp/cc333.s");
  expect(text).toContain("the kernel killed it: out of memory");
  expect(text).toMatch(/parents\s+gcc 2000\s+‹\s+make 1/);
  expect(text).toContain("/src/drivers/net/unit333.c");
  expect(new URL(page.url()).searchParams.get("show")).toMatch(/^process:7000-\d+-1$/);
  await screenshot(page, "lanes-light-1280");
  // The file, and by whom it was read.
  await side(page).getByRole("button", { name: "/src/drivers/net/unit333.c" }).click();
  await side(page).getByText("read 20 KiB, written 0 B, opened 1 times").waitFor();
  await side(page).getByRole("button", { name: "cc1 2001" }).click();
  await side(page).getByRole("heading", { name: "cc1 2001" }).waitFor();
  await page.keyboard.press("Escape");
  await side(page).waitFor({ state: "detached" });
  expect(page.url()).not.toContain("show=");
  expect(wrong).toEqual([]);
  await context.close();
});

test("a link shows the same process, also on a narrow screen", async () => {
  const { context, page, wrong } = await tab(chrome, { ...DESKTOP, width: 380, height: 800 });
  const start = `${BigInt(started) * 1_000_000_000n + 66_600_000_000n}`;
  await show(page, build(`&show=process:6999-${start}-1`), "2,000 processes");
  await side(page).getByRole("heading", { name: "gcc 2000" }).waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(380);
  await screenshot(page, "side-light-380");
  await side(page).getByRole("button", { name: "close" }).click();
  await side(page).waitFor({ state: "detached" });
  await screenshot(page, "lanes-light-380");
  expect(wrong).toEqual([]);
  await context.close();
});

test("the pointer says who, when and on which core; a click shows it; a drag zooms all charts", async () => {
  const { context, page, wrong } = await tab(chrome, { ...DESKTOP, scheme: "dark" });
  // The second of the kill, 0.3 s after its start.
  await show(page, `/c/${BUILD}?from=${started + 67}&to=${started + 68}`, "");
  await page.getByLabel("fold by name").uncheck();
  const box = await still(page, lanes(page).locator("canvas"));
  const tip = page.locator(".lanes-tip");
  // Down the column of the kill, until the row of its compiler.
  const x = box.x + 210 + (box.width - 226) * 0.15;
  let text = "";
  const found = () => /unit333\.c -o/.test(text);
  // Again, as the tip of a row may come late.
  for (let sweep = 0; sweep < 5 && !found(); sweep++) {
    for (let y = box.y + 50; y < box.y + box.height && !found(); y += 18) {
      await page.mouse.move(x, y);
      text = await tip.textContent({ timeout: 1000 }).then((text) => text ?? "", () => "");
    }
  }
  expect(text).toMatch(/cc1 \(pid 2001\).*92 % \(core 5\)/);
  await screenshot(page, "lanes-dark-1280");
  await page.mouse.down();
  await page.mouse.up();
  await side(page).getByRole("heading", { name: "cc1 2001" }).waitFor();
  await page.keyboard.press("Escape");
  await show(page, build(), "2,000 processes");
  await drag(page, lanes(page).locator("canvas"), 0.3, 0.5);
  await page.waitForURL((url) => Number(url.searchParams.get("to")) - Number(url.searchParams.get("from")) < 60);
  expect(wrong).toEqual([]);
  await context.close();
});

test("a comparison is a table of differences, what differs most first", async () => {
  const { context, page, wrong } = await tab(chrome);
  await page.goto(`${server.url}/c/${BUILD}?from=${started}&to=${started + 138}&vs=${CONTAINER}#token=${admin}`);
  const figures = page.getByRole("table", { name: "differences", exact: true });
  await figures.waitFor();
  const figure = (label: string): Locator => figures.locator("tbody tr").filter({ has: page.getByRole("cell", { name: label, exact: true }) });
  expect(await figure("processes").locator("td").nth(1).innerText()).toBe("2,000");
  expect(await figure("failed processes").locator("td").nth(1).innerText()).toBe("5");
  const commands = page.getByRole("table", { name: "differences by command" }).locator("tbody tr");
  const names = await commands.locator("td:first-child").allInnerTexts();
  expect(names.some((name) => name.startsWith("gcc (only in kernel-build)"))).toBe(true);
  const gaps = page.locator(".differences .warn");
  expect(await gaps.allInnerTexts()).toEqual(["▲ shop-web-1: nothing is known of 20 s of its life, which all sums lack"]);
  await screenshot(page, "compare-differences-light-1280");
  await page.getByRole("button", { name: "Hide differences" }).click();
  await figures.waitFor({ state: "detached" });
  expect(wrong).toEqual([]);
  await context.close();
});
