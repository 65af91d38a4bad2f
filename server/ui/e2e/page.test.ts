// The page in Chromium, in front of a real server with data. The expected figures
// follow from common/examples/page_batch, which makes each second.

import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browser, CONTAINER, DESKTOP, drag, savePng, screenshot, Server, still, tab } from "./system";

const server = new Server();
let chrome: Browser;
let admin: string;
const now = (): number => Math.floor(Date.now() / 1000);
/** The container started ten minutes ago, at a full minute. */
const started = now() - 600 - (now() % 60);
let posted = started;

/** Posts all complete seconds. */
async function catchUp(burst = 0): Promise<void> {
  const until = now();
  if (until <= posted) return;
  await server.postBatch(started, posted, until - posted, burst);
  posted = until;
}

/** Posts second by second while `work` runs. */
async function whilePosting<T>(work: () => Promise<T>): Promise<T> {
  let active = true;
  const posting = (async () => {
    while (active) {
      await catchUp();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  try {
    return await work();
  } finally {
    active = false;
    await posting;
  }
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

const link = (path: string, token = admin): string => `${server.url}${path}#token=${token}`;
const past = (from: number, to: number, more = ""): string =>
  `/c/${CONTAINER}?from=${started + from}&to=${started + to}${more}`;

/** Opens a page and waits for its figures. */
async function show(page: Page, path: string): Promise<void> {
  await page.goto(link(path));
  try {
    await page.getByTestId("tile-cpu").waitFor();
  } catch (error) {
    const text = await page.locator("body").innerText();
    throw new Error(`the page shows no figures: ${text.slice(0, 500)}`, { cause: error });
  }
}
const row = (page: Page, table: string, text: string) =>
  page.getByRole("table", { name: table, exact: true }).or(page.getByRole("treegrid", { name: table, exact: true })).locator("tbody tr").filter({ hasText: text }).first();
/** Shows the connections of a peer below its row. */
const openPeer = (page: Page, peer: string) => row(page, "network peers", peer).click();
/** Shows all rows of a table, not only the first ones. */
const unfold = (page: Page, table: string) =>
  page.locator(".panel", { has: page.getByRole("table", { name: table, exact: true }).or(page.getByRole("treegrid", { name: table, exact: true })) }).getByRole("button", { name: /^show all/ }).click();

describe("access", () => {
  test("without a token the page explains what to do", async () => {
    const { context, page } = await tab(chrome);
    await page.goto(server.url);
    await page.getByText("This page needs a link with a token").waitFor();
    expect(await page.getByRole("alert").innerText()).toContain("bubble-server token");
    await context.close();
  });

  test("the token is removed from the address and kept in the tab", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 400));
    expect(page.url()).not.toContain("token");
    await page.reload();
    await page.getByTestId("tile-cpu").waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a token for one container shows only that one", async () => {
    const { context, page } = await tab(chrome);
    const token = server.token("--container", CONTAINER);
    await page.goto(link("/", token));
    await page.getByRole("heading", { name: "shop-web-1" }).waitFor();
    expect(page.url()).toContain(`/c/${CONTAINER}`);
    await page.goto(`${server.url}/c/0000000000aa`);
    await page.getByText("This token is not for this page").waitFor();
    await context.close();
  });
});

describe("the list", () => {
  test("shows and finds the container, and explains why it is empty", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(link("/"));
    await page.getByRole("link", { name: "shop-web-1" }).waitFor();
    await screenshot(page, "list-light-1280");
    await page.keyboard.press("/");
    await page.keyboard.type("no such thing");
    await page.getByText("No container matches").waitFor();
    await page.getByRole("combobox", { name: "search" }).fill("checkout");
    await page.getByRole("link", { name: "shop-web-1" }).click();
    await page.getByTestId("tile-cpu").waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("is grouped, and completes what is typed", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(link("/"));
    await page.getByRole("link", { name: "shop-web-1" }).waitFor();
    await page.getByRole("combobox", { name: "group by" }).selectOption("host");
    const groups = page.getByRole("table", { name: "groups" }).locator("tbody tr");
    await groups.first().waitFor();
    expect(await groups.first().innerText()).toContain("shop-web-1");
    await groups.first().getByRole("button").click();
    await page.getByRole("link", { name: "shop-web-1" }).waitFor();
    expect(await page.getByRole("combobox", { name: "search" }).inputValue()).toMatch(/^host:=/);
    await page.getByRole("combobox", { name: "search" }).fill("image:");
    await page.waitForFunction(() => document.querySelectorAll("#completions option").length > 0);
    const value = await page.locator("#completions option").first().getAttribute("value");
    await page.getByRole("combobox", { name: "search" }).fill(value ?? "");
    await page.getByRole("link", { name: "shop-web-1" }).waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });
});

describe("the past", () => {
  test("sums of a range are exact, file by file and peer by peer", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 360));
    await unfold(page, "files");
    const html = row(page, "files", "/var/www/shop/index.html");
    // Two workers, 10 reads of 4,096 bytes each second.
    expect(await html.locator("td").nth(1).getAttribute("title")).toBe("4,915,200 bytes in 1,200 reads");
    expect(await html.locator("td").nth(1).innerText()).toBe("4.69 MiB");
    const library = row(page, "files", "/usr/lib/libssl.so.3");
    expect(await library.locator("td").nth(1).getAttribute("title")).toBe("49,920 bytes in 60 reads");
    await openPeer(page, "10.1.0.2");
    const peer = row(page, "connections", "10.1.0.2:40000");
    expect(await peer.locator("td").nth(2).getAttribute("title")).toBe("491,520 bytes in 400 calls");
    const refused = row(page, "network peers", "10.9.9.9:5432");
    expect(await refused.locator("td").nth(5).innerText()).toBe("2");
    const first = page.getByRole("treegrid", { name: "network peers", exact: true }).locator("tbody tr").first();
    expect(await first.textContent()).toContain("10.9.9.9:5432");
    // 0.12 s of CPU per second.
    const database = row(page, "processes", "postgres");
    expect(await database.getByTitle("ns of CPU time").getAttribute("title")).toBe("7,200,000,000 ns of CPU time");
    await expect.poll(() => page.getByText("+0.00 %").count()).toBe(1);
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("an instant shows only that second; arrow keys move it", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 360, `&t=${started + 310}`));
    const html = row(page, "files", "/var/www/shop/index.html").locator("td").nth(1);
    expect(await html.getAttribute("title")).toBe("81,920 bytes in 20 reads");
    // Compilers ran in the tenth second, but not in the next one.
    await row(page, "processes", "cc1").waitFor();
    await page.keyboard.press("ArrowRight");
    await page.waitForURL(new RegExp(`t=${started + 311}`));
    await row(page, "processes", "cc1").waitFor({ state: "detached" });
    await page.keyboard.press("Shift+ArrowLeft");
    await page.waitForURL(new RegExp(`t=${started + 301}`));
    await page.keyboard.press("n");
    await page.waitForURL(new RegExp(`t=${started + 330}`));
    await page.keyboard.press("Escape");
    await page.waitForURL((url) => !url.searchParams.has("t"));
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("missing data is a gap, never a zero", async () => {
    const { context, page } = await tab(chrome);
    await show(page, past(100, 160));
    expect(await page.getByTestId("verdict").innerText()).toContain("no data for 20 s");
    await show(page, past(125, 135));
    expect(await page.getByTestId("verdict").innerText()).toContain("no data in this range");
    expect(await page.getByTestId("tile-cpu").innerText()).toContain("–");
    await context.close();
  });

  test("the account names a kill; each phrase leads to its evidence", async () => {
    const { context, page, wrong } = await tab(chrome);
    const verdict = page.getByTestId("verdict");
    await show(page, past(190, 220));
    expect(await page.getByText("a path could not be resolved").innerText()).toContain("3 times, 4 KiB");
    const kill = verdict.getByRole("link", { name: "the kernel killed" });
    const said = await verdict.innerText();
    await kill.click();
    await page.waitForURL(/[?&]t=/);
    // The tables show that second, the account the same range as before.
    await expect.poll(() => verdict.innerText()).toBe(said);
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a selected process limits every panel; Backspace ends it", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 360));
    await row(page, "processes", "postgres").click();
    await page.waitForURL(/sel=1040-/);
    await row(page, "files", "/var/www/shop/index.html").waitFor({ state: "detached" });
    await row(page, "files", "/var/lib/db/base/16384/2619").waitFor();
    await expect.poll(() => page.getByTestId("tile-memory").innerText()).toContain("240 MiB");
    await screenshot(page, "scoped-light-1280");
    await page.keyboard.press("Backspace");
    await row(page, "files", "/var/www/shop/index.html").waitFor();
    await page.goBack();
    await page.waitForURL(/sel=1040-/);
    await row(page, "files", "/var/www/shop/index.html").waitFor({ state: "detached" });
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("dragging over a chart zooms, a click picks an instant, also on the time bar", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 400));
    const chart = page.locator(".u-over").first();
    await drag(page, chart, 0.25, 0.5);
    await page.waitForURL((url) => Number(url.searchParams.get("to")) - Number(url.searchParams.get("from")) < 30);
    const zoomed = new URL(page.url()).searchParams;
    expect(Math.abs(Number(zoomed.get("from")) - (started + 325))).toBeLessThanOrEqual(2);
    expect(Math.abs(Number(zoomed.get("to")) - (started + 350))).toBeLessThanOrEqual(2);
    const box = await still(page, chart);
    await page.mouse.click(box.x + box.width * 0.5, box.y + 40);
    await page.waitForURL(/[?&]t=/);
    const bar = await still(page, page.getByRole("slider"));
    await page.mouse.click(bar.x + bar.width * 0.1, bar.y + 20);
    await page.waitForURL((url) => Number(url.searchParams.get("t")) < started + 100);
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a time is typed, and keys zoom and move", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 400));
    const clock = (second: number): string => new Date((started + second) * 1000).toISOString().slice(11, 19);
    const range = async (): Promise<number[]> => {
      const search = new URL(page.url()).searchParams;
      return [Number(search.get("from")) - started, Number(search.get("to")) - started];
    };
    await page.keyboard.press("t");
    await page.keyboard.type(`${clock(310)}-${clock(330)}`);
    await page.keyboard.press("Enter");
    await expect.poll(range).toEqual([310, 330]);
    await page.keyboard.press("s");
    await expect.poll(range).toEqual([305, 335]);
    await page.goBack();
    await expect.poll(range).toEqual([310, 330]);
    await page.keyboard.press("a");
    await expect.poll(range).toEqual([305, 325]);
    await page.keyboard.press("t");
    await page.keyboard.type("soon");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "type 12:03-12:05" }).waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("the brush of a drag leaves no chart shaded, and Escape closes a menu", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 400));
    await page.waitForFunction(() => document.querySelectorAll(".u-over").length >= 5);
    await drag(page, page.locator(".u-over").first(), 0.25, 0.5);
    await page.waitForURL((url) => Number(url.searchParams.get("to")) - Number(url.searchParams.get("from")) < 30);
    const shaded = () => page.locator(".u-select").evaluateAll((all) => all.filter((each) => each.getBoundingClientRect().width > 0).length);
    await expect.poll(shaded).toBe(0);
    await page.getByText("Export", { exact: true }).click();
    await page.getByRole("button", { name: "files as CSV" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "files as CSV" }).waitFor({ state: "hidden" });
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a report of the range or of the life is a page to print", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 360));
    await page.getByText("Export", { exact: true }).click();
    await page.getByRole("link", { name: "report of this range" }).click();
    const report = page.getByLabel("report", { exact: true });
    await report.waitFor();
    expect(page.url()).toContain(`/c/${CONTAINER}/report?from=${started + 300}&to=${started + 360}`);
    const text = (await report.textContent()) ?? "";
    expect(text).toMatch(/wall time +60\.00 s/);
    // Names in it are text, whatever they are.
    expect(await report.evaluate((pre) => pre.childElementCount)).toBe(0);
    await page.emulateMedia({ media: "print" });
    await page.getByRole("button", { name: "Print" }).waitFor({ state: "hidden" });
    await page.locator(".top").waitFor({ state: "hidden" });
    // A4 with margins of 10 mm is 718 CSS pixels wide.
    await page.setViewportSize({ width: 718, height: 1000 });
    expect(await report.evaluate((pre) => pre.scrollWidth)).toBeLessThanOrEqual(718);
    savePng(await page.screenshot(), "report-print");
    await page.emulateMedia({ media: "screen" });
    await page.getByRole("link", { name: "back to the container" }).click();
    await page.waitForURL(`**/c/${CONTAINER}`);
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("the charts are exported as one PNG in the page's colours", async () => {
    for (const scheme of ["light", "dark"] as const) {
      const { context, page, wrong } = await tab(chrome, { ...DESKTOP, scheme });
      await show(page, past(300, 360));
      await page.waitForFunction(() => document.querySelectorAll(".u-over").length >= 5);
      await page.getByText("Export", { exact: true }).click();
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "charts as PNG" }).click()]);
      expect(download.suggestedFilename()).toBe(`${CONTAINER}-${started + 300}-${started + 360}.png`);
      const data = readFileSync(await download.path());
      savePng(data, `export-${scheme}`);
      const seen = await page.evaluate(async (base64) => {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
        const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        if (pen === null) throw new Error("no canvas");
        pen.drawImage(bitmap, 0, 0);
        const { data } = pen.getImageData(0, 0, bitmap.width, bitmap.height);
        const colours = new Map<string, number>();
        for (let i = 0; i < data.length; i += 4) {
          const colour = `${data[i]},${data[i + 1]},${data[i + 2]},${data[i + 3]}`;
          colours.set(colour, (colours.get(colour) ?? 0) + 1);
        }
        const plots = Array.from(document.querySelectorAll<HTMLCanvasElement>(".u-wrap canvas"));
        const tall = plots.reduce((sum, plot) => sum + plot.height, 0);
        return { width: bitmap.width, height: bitmap.height, tall, widest: Math.max(...plots.map((plot) => plot.width)), corner: `${data[0]},${data[1]},${data[2]}`, colours: [...colours] };
      }, data.toString("base64"));
      expect(seen.corner).toBe(scheme === "light" ? "255,255,255" : "24,31,38");
      expect(seen.width).toBeGreaterThan(seen.widest);
      expect(seen.height).toBeGreaterThan(seen.tall);
      // Bytes received have a line and a legend entry of this colour.
      const received = seen.colours.find(([colour]) => colour === "0,114,178,255")?.[1] ?? 0;
      expect(received).toBeGreaterThan(200);
      expect(wrong).toEqual([]);
      await context.close();
    }
  });

  test("a failed picture is reported in the menu", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.addInitScript(() => {
      HTMLCanvasElement.prototype.toBlob = (done) => done(null);
    });
    await show(page, past(300, 360));
    await page.locator(".u-over").first().waitFor();
    await page.getByText("Export", { exact: true }).click();
    await page.getByRole("button", { name: "charts as PNG" }).click();
    await page.getByRole("status").filter({ hasText: "could not create a picture" }).waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });
});

test("untrusted names are text, and none of it is run", async () => {
  const { context, page, wrong } = await tab(chrome);
  await show(page, past(300, 360));
  await row(page, "processes", "<i>evil</i>").waitFor();
  await unfold(page, "files");
  await row(page, "files", "/tmp/<script>alert(3)</script>").waitFor();
  await page.getByText("2 labels").click();
  await page.getByText("<b>not bold</b>").waitFor();
  expect(await page.locator("td i, td img, dd b, td script").count()).toBe(0);
  expect(wrong).toEqual([]);
  await context.close();
});

describe("live", () => {
  test("follows the newest data; L switches to the past and back", async () => {
    const { context, page, wrong } = await tab(chrome);
    await whilePosting(async () => {
      await show(page, `/c/${CONTAINER}?span=60`);
      await page.locator(".dot.on").waitFor();
      const first = await page.locator(".scope").first().innerText();
      await page.waitForFunction((text) => document.querySelector(".scope")?.textContent?.trim() !== text, first);
      await screenshot(page, "live-light-1280");
      await page.keyboard.press("l");
      await page.getByTestId("when").waitFor();
      await page.waitForURL(/[?&]t=/);
      await page.keyboard.press("L");
      await page.locator(".dot.on").waitFor();
      expect(page.url()).not.toContain("from=");
    });
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("an hour, with slots longer than a second, is fetched as rarely as a minute", async () => {
    const { context, page, wrong } = await tab(chrome);
    const whole: string[] = [];
    page.on("request", (request) => {
      if (request.url().includes(`/containers/${CONTAINER}/summary`)) whole.push(request.url());
    });
    const began = Date.now();
    await whilePosting(async () => {
      await show(page, `/c/${CONTAINER}?span=3600`);
      await page.locator(".dot.on").waitFor();
      const slider = page.getByRole("slider");
      for (let slot = 0; slot < 3; slot++) {
        const seen = await slider.getAttribute("aria-valuenow");
        await expect.poll(() => slider.getAttribute("aria-valuenow"), { timeout: 20_000 }).not.toBe(seen);
      }
    });
    expect(whole.length).toBeLessThanOrEqual(1 + Math.ceil((Date.now() - began) / 10_000));
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a change is on the page soon after the post", async () => {
    const { context, page } = await tab(chrome);
    await show(page, `/c/${CONTAINER}?span=60`);
    const took: number[] = [];
    const tile = (): Promise<number> =>
      page.getByTestId("tile-cpu").locator(".value").innerText().then((text) => Number(text.replace(/[^\d.]/g, "")));
    await whilePosting(async () => void (await page.locator(".dot.on").waitFor()));
    for (let round = 0; round < 5; round++) {
      await whilePosting(async () => void (await expect.poll(tile, { timeout: 20_000, interval: 20 }).toBeLessThan(300)));
      while (now() <= posted) await new Promise((resolve) => setTimeout(resolve, 10));
      const start = performance.now();
      await catchUp(1000);
      await expect.poll(tile, { timeout: 20_000, interval: 20 }).toBeGreaterThan(900);
      took.push(performance.now() - start);
    }
    took.sort((a, b) => a - b);
    console.log(`from the post to the page: median ${took[2]?.toFixed(0)} ms, longest ${took[4]?.toFixed(0)} ms`);
    await context.close();
  });

  test("the page reconnects to a restarted server, and nothing is missing", async () => {
    const { context, page } = await tab(chrome);
    await show(page, `/c/${CONTAINER}?span=60`);
    await whilePosting(async () => void (await page.locator(".dot.on").waitFor()));
    await server.kill();
    await page.locator(".dot.on").waitFor({ state: "detached" });
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await server.start();
    await whilePosting(async () => {
      await page.locator(".dot.on").waitFor();
      await page.getByRole("alert").waitFor({ state: "detached" });
      await expect.poll(() => page.getByTestId("verdict").innerText(), { timeout: 20_000 }).toMatch(/of 3 cores/);
    });
    expect(await page.getByTestId("verdict").innerText()).not.toContain("no data");
    await context.close();
  });
});

describe("looks", () => {
  for (const scheme of ["light", "dark"] as const) {
    for (const width of [1280, 380]) {
      test(`${scheme}, ${width} px wide: nothing is cut off`, async () => {
        const { context, page, wrong } = await tab(chrome, { ...DESKTOP, width, height: width === 380 ? 800 : 900, scheme });
        await show(page, past(0, 360));
        await page.waitForFunction(() => document.querySelectorAll(".u-over").length >= 5);
        await screenshot(page, `container-${scheme}-${width}`);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        await page.goto(`${server.url}/`);
        await page.getByRole("link", { name: "shop-web-1" }).waitFor();
        await screenshot(page, `list-${scheme}-${width}`);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        expect(wrong).toEqual([]);
        await context.close();
      });
    }
  }
});

describe("a recording posted by the chisel", () => {
  const id = "59fd49aa4072";
  const then = 1_506_127_481;

  beforeAll(async () => {
    await server.postEvent("cpu", then, [["0", "haproxy", "13969", "9", "15492", id, "/usr/sbin/haproxy", "-f /haproxy.cfg", "1", 50_000_000]]);
    await server.postEvent("fd", then, [["13969", "9", id, "192.168.0.3:55014->192.168.0.2:80", "out", 131]]);
  });

  test("an old link shows it with its dates of 2017", async () => {
    const { context, page, wrong } = await tab(chrome);
    const token = server.token("--container", id);
    await page.goto(`${server.url}/static/index.html?container=${id}&token=${token}`);
    await page.getByTestId("tile-cpu").waitFor();
    expect(page.url()).toContain(`/c/${id}`);
    expect(page.url()).not.toContain("token");
    await page.getByText("● sysdig (e2e)").waitFor();
    expect(await page.locator("body").innerText()).toContain("2017-09-23");
    expect(await row(page, "processes", "haproxy").innerText()).toContain("50 ms");
    await openPeer(page, "192.168.0.2");
    await row(page, "connections", "192.168.0.3:55014").waitFor();
    expect(await row(page, "connections", "192.168.0.3:55014 → 192.168.0.2:80").innerText()).toContain("131 B");
    expect(wrong).toEqual([]);
    await context.close();
  });
});

describe("more rows than an answer holds", () => {
  const crowded = "f11e50000600";
  const then = 1_506_150_000;
  const FILES = 620;
  const MINUTES = 5;

  beforeAll(async () => {
    const rows = Array.from({ length: FILES }, (_, i) => ["77", "7", crowded, `/data/${i % 2 === 0 ? "even" : "odd"}/file-${i}`, i % 2 === 0 ? "in" : "out", 1000 + i]);
    // The rows of one minute are bounded, those of a range are not.
    for (let minute = 0; minute < MINUTES; minute++) {
      const at = then + 60 * minute;
      await server.postEvent("cpu", at, [["0", "sorter", "77", "7", "2048", crowded, "/usr/bin/sorter", "", "1", 10_000_000]]);
      await server.postEvent("fd", at, rows.filter((_, i) => i % MINUTES === minute));
    }
  });

  test("the server sorts and filters all of them, and the last line sums up the rest", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, `/c/${crowded}?from=${then}&to=${then + 60 * MINUTES}`);
    const files = page.getByRole("treegrid", { name: "files", exact: true });
    const lines = files.locator("tbody tr");
    // The order of the server, not of the 500 rows that a summary holds: the least was read from file-0.
    await files.getByRole("button", { name: "path" }).click();
    await expect.poll(() => lines.first().textContent()).toContain("/data/even/file-0");
    await lines.last().getByText(`${FILES - 12} more`).waitFor();
    const sum = (from: (i: number) => boolean): number => Array.from({ length: FILES }, (_, i) => (from(i) ? 1000 + i : 0)).reduce((a, b) => a + b, 0);
    // Twelve of the files that were read are on the page.
    const shown = await lines.locator("td:nth-child(2)").evaluateAll((cells) => cells.slice(0, 12).map((cell) => Number((cell.getAttribute("title") ?? "").replace(/ bytes.*/, "").replaceAll(",", ""))));
    const rest = sum((i) => i % 2 === 0) - shown.reduce((a, b) => a + b, 0);
    expect(await lines.last().locator("td").nth(1).innerText()).toBe(`${Math.round(rest / 1024)} KiB`);
    await page.getByRole("searchbox", { name: "filter files" }).fill("path:*-61? bytes_out:>1.6k");
    await page.getByText("No row matches all words").waitFor();
    await page.getByRole("searchbox", { name: "filter files" }).fill("odd bytes_out:>1617");
    await expect.poll(() => lines.count()).toBe(1);
    expect(await lines.first().textContent()).toContain("/data/odd/file-619");
    await lines.first().click();
    const user = row(page, "processes that used /data/odd/file-619", "sorter");
    expect(await user.locator("td").nth(2).innerText()).toBe("1.58 KiB");
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a tree of directories has the sums of all files below", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, `/c/${crowded}?from=${then}&to=${then + 60 * MINUTES}`);
    await page.locator(".panel", { has: page.getByRole("heading", { name: "Files" }) }).getByText("tree").click();
    const even = Array.from({ length: FILES / 2 }, (_, i) => 1000 + 2 * i).reduce((a, b) => a + b, 0);
    await row(page, "directories", "/data").click();
    const line = row(page, "directories", "even");
    expect(await line.locator("td").nth(1).getAttribute("title")).toContain(`${even.toLocaleString("en")} bytes`);
    await line.click();
    await row(page, "files in /data/even", "/data/even/file-618").waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });
});

describe("two containers, aligned at start", () => {
  const other = "0ddba11c0de5";
  /** It started years ago and used 20, 30 and 50 % of a core, with a gap before the last. */
  const then = 1_506_130_000;

  beforeAll(async () => {
    for (const [second, percent] of [[0, 20], [1, 30], [3, 50]] as const) {
      await server.postEvent("cpu", then + second, [["0", "miner", "77", "7", "2048", other, "/usr/bin/miner", "", "1", percent * 10_000_000]]);
      await server.postEvent("fd", then + second, [["77", "7", other, "/tmp/found", "out", 1024 * (second + 1)]]);
    }
  });

  /** The tile's value of the other container. */
  const vs = (page: Page, tile: string): Promise<string> => page.getByTestId(`tile-${tile}`).locator(".other").innerText();
  /** Records the requests about the other container. */
  function requests(page: Page): string[] {
    const urls: string[] = [];
    page.on("request", (request) => {
      if (request.url().includes(`/containers/${other}/summary`)) urls.push(request.url());
    });
    return urls;
  }

  test("its values are beside those of the same second of the other's life, with one request", async () => {
    const { context, page, wrong } = await tab(chrome);
    const urls = requests(page);
    await show(page, past(0, 60, `&t=${started + 1}&vs=${other}`));
    const line = page.locator(".compared");
    await line.getByRole("link", { name: other }).waitFor();
    expect(await line.innerText()).toMatch(/aligned at start; it started \d+ d.*earlier/);
    expect(await vs(page, "cpu")).toBe("vs 30 %");
    expect(await vs(page, "files")).toBe("vs 0 B/s, 2 KiB/s");
    await page.getByRole("img", { name: new RegExp(`CPU by process: .*${other}: CPU 30 %`) }).waitFor();
    await screenshot(page, "compare-light-1280");
    // The third second is a gap, and the fifth is after its end. Neither is a zero.
    for (const [key, cpu] of [["ArrowLeft", "20 %"], ["ArrowRight", "30 %"], ["ArrowRight", "–"], ["ArrowRight", "50 %"], ["ArrowRight", "–"]] as const) {
      await page.keyboard.press(key);
      await expect.poll(() => vs(page, "cpu")).toMatch(cpu === "–" ? /^vs –\s*, unknown: it has no data for this second/ : new RegExp(`^vs ${cpu}$`));
    }
    expect(urls).toHaveLength(1);
    const query = new URL(urls[0] ?? "").searchParams;
    expect([query.get("from"), query.get("to"), query.get("step")]).toEqual([String(then), String(then + 60), "1"]);
    // A single process has no counterpart.
    await row(page, "processes", "postgres").click();
    await line.getByText("hidden while one process is selected").waitFor();
    await page.keyboard.press("Backspace");
    await line.getByRole("button", { name: "End comparison" }).click();
    await line.waitFor({ state: "detached" });
    expect(page.url()).not.toContain("vs=");
    expect(await page.locator(".tile .other").count()).toBe(0);
    await page.goBack();
    await line.getByRole("link", { name: other }).waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("it is chosen from the list by name or id, with the keyboard", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(link(`/c/${other}?from=${then}&to=${then + 4}`));
    await page.getByTestId("tile-cpu").waitFor();
    await page.getByText("Compare", { exact: true }).first().focus();
    await page.keyboard.press("Enter");
    const field = page.getByRole("searchbox", { name: "compare with" });
    await field.fill("no such thing");
    await page.getByText("no other container matches").waitFor();
    // Enter counts although the server is slower than the typing.
    await page.route("**/api/v1/containers?*", async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 400));
      await route.continue();
    });
    await field.fill("shop-web-1");
    await field.press("Enter");
    await page.waitForURL(new RegExp(`vs=${CONTAINER}`));
    await page.locator(".compared").getByRole("link", { name: "shop-web-1" }).waitFor();
    // The mean of the range, 150 to 154 MiB.
    await expect.poll(() => vs(page, "memory")).toBe("vs 152 MiB");
    await page.locator(".compared").getByRole("link", { name: "shop-web-1" }).click();
    await page.waitForURL(new RegExp(`/c/${CONTAINER}$`));
    await page.getByRole("heading", { name: "shop-web-1" }).waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a live page fetches an ended container once", async () => {
    const { context, page, wrong } = await tab(chrome);
    const urls = requests(page);
    await whilePosting(async () => {
      await show(page, `/c/${CONTAINER}?span=60&vs=${other}`);
      await page.locator(".dot.on").waitFor();
      await page.locator(".compared").getByText("it has no data for this part of its life").waitFor();
      const first = await page.locator(".scope").first().innerText();
      for (let second = 0; second < 4; second++) {
        const seen = await page.locator(".scope").first().innerText();
        await page.waitForFunction((text) => document.querySelector(".scope")?.textContent?.trim() !== text, seen);
      }
      expect(await page.locator(".scope").first().innerText()).not.toBe(first);
    });
    expect(urls).toHaveLength(1);
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("an unknown, forbidden or identical container is reported, and the page continues", async () => {
    const { context, page, wrong } = await tab(chrome);
    const alert = page.locator(".compared").getByRole("alert");
    await show(page, past(300, 360, "&vs=0000000000aa"));
    await alert.getByText("no container 0000000000aa is known").waitFor();
    await show(page, past(300, 360, `&vs=${CONTAINER}`));
    await alert.getByText("cannot compare a container with itself").waitFor();
    await page.goto(link(past(300, 360), server.token("--container", CONTAINER)));
    await page.getByTestId("tile-cpu").waitFor();
    await page.getByText("Compare", { exact: true }).first().click();
    await page.getByText("this token is for one container").waitFor();
    await page.getByRole("searchbox", { name: "compare with" }).fill(other);
    await page.keyboard.press("Enter");
    await alert.getByText("comparing two containers takes a token for all").waitFor();
    await row(page, "files", "/var/www/shop/index.html").waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });
});

describe("peers as a graph", () => {
  const crowded = "ba0bab000031";
  const then = 1_506_140_000;

  beforeAll(async () => {
    const peers = Array.from({ length: 31 }, (_, i) => ["77", "7", crowded, `10.2.0.1:40000->10.2.0.${i + 2}:80`, "out", 1000]);
    await server.postEvent("fd", then, peers);
  });

  test("up to 30 are drawn, with directions, bytes and failures", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 360));
    const graph = page.getByRole("img", { name: "shop-web-1 and its 5 peers" });
    await graph.waitFor();
    const label = await graph.getAttribute("aria-label");
    // Each of three peers has 20 seconds, in each of which two workers send 12,288 bytes.
    expect(label).toContain("10.1.0.2:40000 connected to it: 78.1 KiB received, 480 KiB sent;");
    expect(label).toMatch(/it connected to 10\.9\.9\.9:5432: 0 B received, 0 B sent, 2 failed$/);
    expect(await graph.locator("polygon").count()).toBe(5);
    expect((await graph.locator("text").allTextContents()).map((text) => text.trim())).toContain("✖ 2 10.9.9.9:5432");
    await page.getByRole("button", { name: "as a graph" }).press("Enter");
    await graph.waitFor({ state: "detached" });
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("more than 30 are only a table", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(link(`/c/${crowded}`));
    await page.getByText("31 peers").waitFor();
    expect(await page.getByRole("button", { name: "as a graph" }).count()).toBe(0);
    expect(wrong).toEqual([]);
    await context.close();
  });
});
