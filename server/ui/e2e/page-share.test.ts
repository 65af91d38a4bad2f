// Shared links, saved files and hosts in Chromium, in front of a real server.
// The expected figures follow from common/examples/page_batch.rs.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browser, CONTAINER, DESKTOP, screenshot, Server, tab, type Viewport } from "./system";

const server = new Server();
const folder = mkdtempSync(join(tmpdir(), "bubble-e2e-share-"));
let chrome: Browser;
let admin: string;
const now = (): number => Math.floor(Date.now() / 1000);
/** The container started ten minutes ago, at a full minute. */
const started = now() - 600 - (now() % 60);

beforeAll(async () => {
  await server.start();
  admin = server.token("--admin");
  await server.postBatch(started, started, now() - started);
  chrome = await browser();
});

afterAll(async () => {
  await chrome?.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const NARROW: Viewport = { width: 380, height: 800, scheme: "dark" };
const path = (from: number, to: number, more = ""): string => `/c/${CONTAINER}?from=${started + from}&to=${started + to}${more}`;
const row = (page: Page, table: string, text: string) =>
  page.getByRole("table", { name: table, exact: true }).or(page.getByRole("treegrid", { name: table, exact: true })).locator("tbody tr").filter({ hasText: text }).first();
/** What the browser keeps of the page. */
const kept = (page: Page): Promise<number> => page.evaluate(() => sessionStorage.length + localStorage.length);

async function show(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.getByTestId("tile-cpu").waitFor();
}

/** Makes a link to what the page shows. */
async function share(page: Page): Promise<string> {
  await page.getByText("Share", { exact: true }).click();
  await page.getByRole("button", { name: "Create link" }).click();
  return page.getByRole("textbox", { name: "shared link" }).inputValue();
}

describe("a shared link", () => {
  test("shows its range without an account, and nothing else, until it is revoked", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, `${server.url}${path(310, 350, `&t=${started + 320}`)}#token=${admin}`);
    const link = await share(page);
    expect(link).toContain(`from=${started + 310}&to=${started + 350}&t=${started + 320}#token=`);
    await screenshot(page, "share-dialog-light-1280");

    const receiver = await tab(chrome);
    await show(receiver.page, link);
    expect(await receiver.page.getByTestId("shared").innerText()).toContain("of this container");
    const html = row(receiver.page, "files", "/var/www/shop/index.html").locator("td").nth(1);
    expect(await html.getAttribute("title")).toBe("81,920 bytes in 20 reads");
    expect(await receiver.page.getByRole("link", { name: "Hosts" }).count()).toBe(0);
    expect(await receiver.page.getByText("Compare", { exact: true }).count()).toBe(0);
    // Zooming out ends at the minute that is shared.
    await receiver.page.keyboard.press("Escape");
    for (let i = 0; i < 3; i++) await receiver.page.keyboard.press("s");
    await receiver.page.waitForURL(new RegExp(`from=${started + 300}&to=${started + 360}`));
    await receiver.page.getByTestId("tile-cpu").waitFor();
    await screenshot(receiver.page, "shared-light-1280");
    await receiver.page.goto(`${server.url}/c/0000000000aa`);
    await receiver.page.getByText("This link does not show that").waitFor();
    expect(receiver.wrong).toEqual([]);

    await page.getByRole("button", { name: "Revoke" }).click();
    await page.getByText("The link is revoked").waitFor();
    await receiver.page.goto(`${server.url}${path(310, 350)}`);
    await receiver.page.getByRole("heading", { name: "This link was revoked" }).waitFor();
    expect(await kept(receiver.page)).toBe(0);
    expect(await receiver.page.getByText("shop-web-1").count()).toBe(0);
    await screenshot(receiver.page, "revoked-light-1280");
    expect(wrong).toEqual([]);
    await receiver.context.close();
    await context.close();
  });

  test("of a whole life is live, and says when it has expired", async () => {
    const { context, page, wrong } = await tab(chrome, NARROW);
    await show(page, `${server.url}/c/${CONTAINER}#token=${admin}`);
    await page.getByText("Share", { exact: true }).click();
    await page.getByText("its whole life").click();
    await screenshot(page, "share-dialog-dark-380");
    await page.getByRole("button", { name: "Create link" }).click();
    const link = await page.getByRole("textbox", { name: "shared link" }).inputValue();
    const receiver = await tab(chrome, NARROW);
    await show(receiver.page, link);
    await receiver.page.getByRole("button", { name: "Live", pressed: true }).waitFor();
    await screenshot(receiver.page, "shared-dark-380");
    const body = { code: "link_expired", message: "this link has expired", request_id: "" };
    await receiver.page.route("**/api/v1/**", (route) => route.fulfill({ status: 401, json: body }));
    await receiver.page.reload();
    await receiver.page.getByRole("heading", { name: "This link has expired" }).waitFor();
    expect(await kept(receiver.page)).toBe(0);
    await screenshot(receiver.page, "expired-dark-380");
    expect([...wrong, ...receiver.wrong]).toEqual([]);
    await receiver.context.close();
    await context.close();
  });
});

describe("a saved file", () => {
  /** Saves what the page shows, and returns the address of the file. */
  async function save(from: number, to: number): Promise<string> {
    const { context, page, wrong } = await tab(chrome);
    await show(page, `${server.url}${path(from, to)}#token=${admin}`);
    await page.getByText("Export", { exact: true }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as file" }).click()]);
    const file = join(folder, download.suggestedFilename());
    await download.saveAs(file);
    expect(wrong).toEqual([]);
    await context.close();
    return file;
  }

  /** Lanes, and the side panel of a process, its file and its peer, from the data in the file. */
  async function details(page: Page): Promise<void> {
    const lanes = page.getByRole("group", { name: /^lanes of / });
    // 48 compilers in a minute, and the 7 that run all the time.
    await expect.poll(() => lanes.getAttribute("aria-label")).toMatch(/^lanes of \d+ processes/);
    expect(await page.getByTestId("shared").innerText()).not.toContain("lanes (too many");
    await row(page, "files", "/var/www/shop/index.html").hover();
    await row(page, "files", "/var/www/shop/index.html").getByRole("button", { name: "more about this file" }).click();
    const side = page.getByRole("dialog");
    await side.getByText(/^read 4\.\d+ MiB, written 0 B, opened 1,200 times$/).waitFor();
    const users = side.getByRole("table", { name: "processes of this" }).locator("tbody tr");
    expect(await users.allInnerTexts()).toEqual([expect.stringContaining("nginx 21"), expect.stringContaining("nginx 22")]);
    await users.first().getByRole("button", { name: "nginx 21" }).click();
    await side.getByRole("heading", { name: "nginx 21" }).waitFor();
    await side.getByText(/read 2\.\d+ MiB, written 58/).waitFor();
    expect(await side.getByRole("button", { name: "Limit the page to it" }).count()).toBe(0);
    await screenshot(page, `file-side-${page.viewportSize()?.width}`);
    await side.getByRole("table", { name: "peers of this process" }).getByRole("button", { name: /10\.1\.0\.2/ }).click();
    await side.getByRole("heading", { name: /10\.1\.0\.2/ }).waitFor();
    expect(await side.getByRole("table", { name: "processes of this" }).locator("tbody tr").count()).toBe(2);
    await page.keyboard.press("Escape");
    await side.waitFor({ state: "detached" });
  }

  test("opens offline, with the figures of each moment, and requests nothing", async () => {
    const file = await save(300, 360);
    expect(file).toMatch(/shop-web-1-\d+-\d+\.html$/);
    // Neither the token nor any address of the server is in it.
    const text = readFileSync(file, "utf8");
    expect(text).not.toContain(admin);
    expect(text).not.toContain(server.url);
    for (const viewport of [DESKTOP, NARROW]) {
      const { context, page, wrong } = await tab(chrome, viewport);
      await context.setOffline(true);
      const address = pathToFileURL(file).href;
      const requests: string[] = [];
      page.on("request", (request) => requests.push(request.url()));
      await show(page, address);
      expect(await page.getByTestId("shared").innerText()).toContain("without a server");
      const html = row(page, "files", "/var/www/shop/index.html").locator("td").nth(1);
      expect(await html.getAttribute("title")).toBe("4,915,200 bytes in 1,200 reads");
      await screenshot(page, `file-${viewport.scheme}-${viewport.width}`);
      await details(page);
      await page.keyboard.press("t");
      await page.keyboard.type(new Date((started + 310) * 1000).toISOString().slice(11, 19));
      await page.keyboard.press("Enter");
      await expect.poll(() => html.getAttribute("title")).toBe("81,920 bytes in 20 reads");
      await row(page, "processes", "cc1").waitFor();
      await page.keyboard.press("ArrowRight");
      await row(page, "processes", "cc1").waitFor({ state: "detached" });
      await page.keyboard.press("Escape");
      await expect.poll(() => html.getAttribute("title")).toBe("4,915,200 bytes in 1,200 reads");
      expect(requests.filter((url) => url !== address && !url.startsWith("blob:"))).toEqual([]);
      expect(wrong.filter((text) => text !== `a request to ${address}`)).toEqual([]);
      await context.close();
    }
  });
});

describe("hosts", () => {
  test("say what is wrong in a sentence, and lead to their containers", async () => {
    for (const viewport of [DESKTOP, NARROW]) {
      const { context, page, wrong } = await tab(chrome, viewport);
      await page.goto(`${server.url}/hosts#token=${admin}`);
      await page.getByRole("heading", { name: "Hosts and their agents" }).waitFor();
      await page.getByText(/^(the host is sending|1 of 1 .*)$/).waitFor();
      await screenshot(page, `hosts-${viewport.scheme}-${viewport.width}`);
      await page.getByRole("link", { name: "its containers" }).click();
      await page.getByRole("link", { name: "shop-web-1" }).waitFor();
      expect(wrong).toEqual([]);
      await context.close();
    }
  });
});
