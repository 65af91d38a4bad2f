// What a person sees, from a real server with real data. The figures are those
// that common/examples/page_batch.rs writes down for each second.

import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browser, CONTAINER, DESK, keep, picture, Server, tab } from "./system";

const server = new Server();
let chrome: Browser;
let admin: string;
const now = (): number => Math.floor(Date.now() / 1000);
/** The container began ten minutes ago, at a full minute. */
const started = now() - 600 - (now() % 60);
let posted = started;

/** Posts all seconds that are over. */
async function catchUp(burst = 0): Promise<void> {
  const until = now();
  if (until <= posted) return;
  await server.post(started, posted, until - posted, burst);
  posted = until;
}

/** Goes on posting, second by second, while `work` runs. */
async function fed<T>(work: () => Promise<T>): Promise<T> {
  let going = true;
  const feeding = (async () => {
    while (going) {
      await catchUp();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  try {
    return await work();
  } finally {
    going = false;
    await feeding;
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

/** Opens a page and waits until its figures are there. */
async function show(page: Page, path: string): Promise<void> {
  await page.goto(link(path));
  try {
    await page.getByTestId("tile-cpu").waitFor();
  } catch (error) {
    const seen = await page.locator("body").innerText();
    throw new Error(`the page shows no figures, but: ${seen.slice(0, 500)}`, { cause: error });
  }
}
const row = (page: Page, table: string, text: string) =>
  page.getByRole("table", { name: table, exact: true }).locator("tbody tr").filter({ hasText: text }).first();
/** Shows all rows of a table, and not only those with which it begins. */
const unfold = (page: Page, table: string) =>
  page.locator(".panel", { has: page.getByRole("table", { name: table, exact: true }) }).getByRole("button", { name: /^show all/ }).click();

describe("who may see what", () => {
  test("without a token the page says what to do", async () => {
    const { context, page } = await tab(chrome);
    await page.goto(server.url);
    await page.getByText("This page needs a link with a token").waitFor();
    expect(await page.getByRole("alert").innerText()).toContain("bubble-server token");
    await context.close();
  });

  test("the token leaves the address, and the tab keeps it", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 400));
    expect(page.url()).not.toContain("token");
    await page.reload();
    await page.getByTestId("tile-cpu").waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a token for one container shows that one, and no other", async () => {
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
  test("shows the container, finds it, and says why it is empty", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(link("/"));
    await page.getByRole("link", { name: "shop-web-1" }).waitFor();
    await picture(page, "list-light-1280");
    await page.keyboard.press("/");
    await page.keyboard.type("no such thing");
    await page.getByText("No container matches").waitFor();
    await page.getByRole("searchbox").fill("checkout");
    await page.getByRole("link", { name: "shop-web-1" }).click();
    await page.getByTestId("tile-cpu").waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("hosts show their agents, and what they miss", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(link("/hosts"));
    await page.getByText("6.12.0-example").waitFor();
    await page.getByText("1 thing this host does not let it count").click();
    await page.getByText("trampolines are refused").waitFor();
    await picture(page, "hosts-light-1280");
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
    const peer = row(page, "network peers", "10.1.0.2:40000");
    expect(await peer.locator("td").nth(3).getAttribute("title")).toBe("491,520 bytes in 400 calls");
    const refused = row(page, "network peers", "10.9.9.9:5432");
    expect(await refused.locator("td").last().innerText()).toBe("2");
    // 0.12 s of CPU a second.
    const database = row(page, "processes", "postgres");
    expect(await database.getByTitle("ns of CPU time").getAttribute("title")).toBe("7,200,000,000 ns of CPU time");
    expect(await page.getByText("+0.00 %").count()).toBe(1);
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("an instant shows that second alone; arrows and the address move it", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 360, `&t=${started + 310}`));
    const html = row(page, "files", "/var/www/shop/index.html").locator("td").nth(1);
    expect(await html.getAttribute("title")).toBe("81,920 bytes in 20 reads");
    // In the tenth second compilers ran; in the next they did not.
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

  test("what was not counted is a gap, never a zero", async () => {
    const { context, page } = await tab(chrome);
    await show(page, past(100, 160));
    expect(await page.getByTestId("verdict").innerText()).toContain("20 s not counted");
    await show(page, past(125, 135));
    expect(await page.getByTestId("verdict").innerText()).toContain("nothing was counted in this range");
    expect(await page.getByTestId("tile-cpu").innerText()).toContain("–");
    await context.close();
  });

  test("the verdict names a pinned core, the limit, and an out-of-memory kill", async () => {
    const { context, page } = await tab(chrome);
    await show(page, past(60, 90));
    const verdict = page.getByTestId("verdict");
    expect(await verdict.innerText()).toContain("core 3 pinned at 100 %");
    expect(await verdict.innerText()).toContain("held back by its CPU limit 25 % of the time");
    await show(page, past(190, 220));
    expect(await verdict.innerText()).toContain("1 out-of-memory kill");
    expect(await page.getByText("a path could not be resolved").innerText()).toContain("3 times, 4 KiB");
    await context.close();
  });

  test("a process scopes every panel; Backspace ends it", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 360));
    await row(page, "processes", "postgres").click();
    await page.waitForURL(/sel=1040-/);
    await row(page, "files", "/var/www/shop/index.html").waitFor({ state: "detached" });
    await row(page, "files", "/var/lib/db/base/16384/2619").waitFor();
    await expect.poll(() => page.getByTestId("tile-memory").innerText()).toContain("240 MiB");
    await picture(page, "scoped-light-1280");
    await page.keyboard.press("Backspace");
    await row(page, "files", "/var/www/shop/index.html").waitFor();
    await page.goBack();
    await page.waitForURL(/sel=1040-/);
    await row(page, "files", "/var/www/shop/index.html").waitFor({ state: "detached" });
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("dragging over a chart zooms, a click picks an instant, on the bar too", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 400));
    const chart = page.locator(".u-over").first();
    const box = await chart.boundingBox();
    if (box === null) throw new Error("there is no chart");
    const y = box.y + 40;
    await page.mouse.move(box.x + box.width * 0.25, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, y, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL((url) => Number(url.searchParams.get("to")) - Number(url.searchParams.get("from")) < 30);
    const zoomed = new URL(page.url()).searchParams;
    expect(Math.abs(Number(zoomed.get("from")) - (started + 325))).toBeLessThanOrEqual(2);
    expect(Math.abs(Number(zoomed.get("to")) - (started + 350))).toBeLessThanOrEqual(2);
    await page.waitForFunction(() => document.querySelector(".grid")?.getAttribute("aria-busy") === "false");
    await page.mouse.click(box.x + box.width * 0.5, y);
    await page.waitForURL(/[?&]t=/);
    const bar = await page.getByRole("slider").boundingBox();
    if (bar === null) throw new Error("there is no time bar");
    await page.mouse.click(bar.x + bar.width * 0.1, bar.y + 20);
    await page.waitForURL((url) => Number(url.searchParams.get("t")) < started + 100);
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a table is taken along as CSV and JSON", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 360));
    for (const format of ["CSV", "JSON"]) {
      await page.getByText("Export", { exact: true }).click();
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: `files as ${format}` }).click(),
      ]);
      const text = readFileSync(await download.path(), "utf8");
      expect(text).toContain("/var/www/shop/index.html");
      if (format === "JSON") JSON.parse(text);
    }
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("the charts are taken along as one PNG, in the page's own colours", async () => {
    for (const scheme of ["light", "dark"] as const) {
      const { context, page, wrong } = await tab(chrome, { ...DESK, scheme });
      await show(page, past(300, 360));
      await page.waitForFunction(() => document.querySelectorAll(".u-over").length >= 5);
      await page.getByText("Export", { exact: true }).click();
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "charts as PNG" }).click()]);
      expect(download.suggestedFilename()).toBe(`${CONTAINER}-${started + 300}-${started + 360}.png`);
      const data = readFileSync(await download.path());
      keep(data, `export-${scheme}`);
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
      // What is received is a line and an entry of the legend of this colour.
      const received = seen.colours.find(([colour]) => colour === "0,114,178,255")?.[1] ?? 0;
      expect(received).toBeGreaterThan(200);
      expect(wrong).toEqual([]);
      await context.close();
    }
  });

  test("where no picture can be made, the menu says so", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.addInitScript(() => {
      HTMLCanvasElement.prototype.toBlob = (done) => done(null);
    });
    await show(page, past(300, 360));
    await page.locator(".u-over").first().waitFor();
    await page.getByText("Export", { exact: true }).click();
    await page.getByRole("button", { name: "charts as PNG" }).click();
    await page.getByRole("status").filter({ hasText: "could not make a picture" }).waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });
});

test("what strangers named is text, and nothing of it is run", async () => {
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
  test("follows; L goes to the past and back", async () => {
    const { context, page, wrong } = await tab(chrome);
    await fed(async () => {
      await show(page, `/c/${CONTAINER}?span=60`);
      await page.locator(".dot.on").waitFor();
      const first = await page.locator(".scope").first().innerText();
      await page.waitForFunction((text) => document.querySelector(".scope")?.textContent?.trim() !== text, first);
      await picture(page, "live-light-1280");
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

  test("of an hour, whose slots are longer than a second, the whole is asked for as seldom as of a minute", async () => {
    const { context, page, wrong } = await tab(chrome);
    const whole: string[] = [];
    page.on("request", (request) => {
      if (request.url().includes(`/containers/${CONTAINER}/summary`)) whole.push(request.url());
    });
    await fed(async () => {
      await show(page, `/c/${CONTAINER}?span=3600`);
      await page.locator(".dot.on").waitFor();
      for (let slot = 0; slot < 3; slot++) {
        const seen = await page.locator(".scope").first().innerText();
        await page.waitForFunction((text) => document.querySelector(".scope")?.textContent?.trim() !== text, seen);
      }
    });
    expect(whole.length).toBeLessThanOrEqual(2);
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a change is on the page soon after it was posted", async () => {
    const { context, page } = await tab(chrome);
    await show(page, `/c/${CONTAINER}?span=60`);
    const took: number[] = [];
    const tile = (): Promise<number> =>
      page.getByTestId("tile-cpu").locator(".value").innerText().then((text) => Number(text.replace(/[^\d.]/g, "")));
    await fed(async () => void (await page.locator(".dot.on").waitFor()));
    for (let round = 0; round < 5; round++) {
      await fed(async () => void (await expect.poll(tile, { timeout: 20_000, interval: 20 }).toBeLessThan(300)));
      while (now() <= posted) await new Promise((resolve) => setTimeout(resolve, 10));
      const begun = performance.now();
      await catchUp(1000);
      await expect.poll(tile, { timeout: 20_000, interval: 20 }).toBeGreaterThan(900);
      took.push(performance.now() - begun);
    }
    took.sort((a, b) => a - b);
    console.log(`from the post to the page: median ${took[2]?.toFixed(0)} ms, longest ${took[4]?.toFixed(0)} ms`);
    await context.close();
  });

  test("a server that was killed is followed again when it is back, and nothing is missing", async () => {
    const { context, page } = await tab(chrome);
    await show(page, `/c/${CONTAINER}?span=60`);
    await fed(async () => void (await page.locator(".dot.on").waitFor()));
    await server.kill();
    await page.locator(".dot.on").waitFor({ state: "detached" });
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await server.start();
    await fed(async () => {
      await page.locator(".dot.on").waitFor();
      await page.getByRole("alert").waitFor({ state: "detached" });
      await expect.poll(() => page.getByTestId("verdict").innerText(), { timeout: 20_000 }).toMatch(/of 3 cores/);
    });
    expect(await page.getByTestId("verdict").innerText()).not.toContain("not counted");
    await context.close();
  });
});

describe("looks", () => {
  for (const scheme of ["light", "dark"] as const) {
    for (const width of [1280, 380]) {
      test(`${scheme}, ${width} px wide: nothing is cut off`, async () => {
        const { context, page, wrong } = await tab(chrome, { ...DESK, width, height: width === 380 ? 800 : 900, scheme });
        await show(page, past(0, 360));
        await page.waitForFunction(() => document.querySelectorAll(".u-over").length >= 5);
        await picture(page, `container-${scheme}-${width}`);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        await page.goto(`${server.url}/`);
        await page.getByRole("link", { name: "shop-web-1" }).waitFor();
        await picture(page, `list-${scheme}-${width}`);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        expect(wrong).toEqual([]);
        await context.close();
      });
    }
  }
});

describe("what was played back from a capture", () => {
  const id = "59fd49aa4072";
  const then = 1_506_127_481;

  beforeAll(async () => {
    await server.tell("cpu", then, [["0", "haproxy", "13969", "9", "15492", id, "/usr/sbin/haproxy", "-f /haproxy.cfg", "1", 50_000_000]]);
    await server.tell("fd", then, [["13969", "9", id, "192.168.0.3:55014->192.168.0.2:80", "out", 131]]);
  });

  test("an old link shows it, as it was in 2017", async () => {
    const { context, page, wrong } = await tab(chrome);
    const token = server.token("--container", id);
    await page.goto(`${server.url}/static/index.html?container=${id}&token=${token}`);
    await page.getByTestId("tile-cpu").waitFor();
    expect(page.url()).toContain(`/c/${id}`);
    expect(page.url()).not.toContain("token");
    await page.getByText("● sysdig (e2e)").waitFor();
    expect(await page.locator("body").innerText()).toContain("2017-09-23");
    expect(await row(page, "processes", "haproxy").innerText()).toContain("50 ms");
    expect(await row(page, "network peers", "192.168.0.3:55014 → 192.168.0.2:80").innerText()).toContain("131 B");
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("the list marks it, and finds it by the recording", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(link("/?search=sysdig%20(e2e)"));
    const found = page.locator("tbody tr").filter({ hasText: id });
    await found.waitFor();
    expect(await found.innerText()).toContain("● sysdig (e2e)");
    expect(await found.innerText()).toContain("ended");
    expect(await page.locator("tbody tr").count()).toBe(1);
    expect(wrong).toEqual([]);
    await context.close();
  });
});

describe("two containers, aligned at start", () => {
  const other = "0ddba11c0de5";
  /** It began years ago, ran for three seconds of which one was not counted, and used 20, 30, – and 50 % of a core. */
  const then = 1_506_130_000;

  beforeAll(async () => {
    for (const [second, percent] of [[0, 20], [1, 30], [3, 50]] as const) {
      await server.tell("cpu", then + second, [["0", "miner", "77", "7", "2048", other, "/usr/bin/miner", "", "1", percent * 10_000_000]]);
      await server.tell("fd", then + second, [["77", "7", other, "/tmp/found", "out", 1024 * (second + 1)]]);
    }
  });

  /** The tile's line about the other. */
  const vs = (page: Page, tile: string): Promise<string> => page.getByTestId(`tile-${tile}`).locator(".other").innerText();
  /** Notes what is asked of the other. */
  function asked(page: Page): string[] {
    const urls: string[] = [];
    page.on("request", (request) => {
      if (request.url().includes(`/containers/${other}/summary`)) urls.push(request.url());
    });
    return urls;
  }

  test("its values stand beside the same second of the other's life, with one request", async () => {
    const { context, page, wrong } = await tab(chrome);
    const urls = asked(page);
    await show(page, past(0, 60, `&t=${started + 1}&vs=${other}`));
    const line = page.locator(".compared");
    await line.getByRole("link", { name: other }).waitFor();
    expect(await line.innerText()).toMatch(/aligned at start: shifted by \d+ d.*earlier/);
    expect(await vs(page, "cpu")).toBe("vs 30 %");
    expect(await vs(page, "files")).toBe("vs 0 B/s, 2 KiB/s");
    await page.getByRole("img", { name: new RegExp(`CPU by process: .*${other}: CPU 30 %`) }).waitFor();
    await picture(page, "compare-light-1280");
    // The next second was not counted, and the fifth it did not live to see: neither is a zero.
    for (const [key, cpu] of [["ArrowLeft", "20 %"], ["ArrowRight", "30 %"], ["ArrowRight", "–"], ["ArrowRight", "50 %"], ["ArrowRight", "–"]] as const) {
      await page.keyboard.press(key);
      await expect.poll(() => vs(page, "cpu")).toBe(`vs ${cpu}`);
    }
    expect(urls).toHaveLength(1);
    const query = new URL(urls[0] ?? "").searchParams;
    expect([query.get("from"), query.get("to"), query.get("step")]).toEqual([String(then), String(then + 60), "1"]);
    // Of one process there is no counterpart.
    await row(page, "processes", "postgres").click();
    await line.getByText("left out while one process is shown").waitFor();
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

  test("it is chosen from the list by name or id, by keyboard alone", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(link(`/c/${other}?from=${then}&to=${then + 4}`));
    await page.getByTestId("tile-cpu").waitFor();
    await page.getByText("Compare", { exact: true }).first().focus();
    await page.keyboard.press("Enter");
    const field = page.getByRole("searchbox", { name: "compare with" });
    await field.fill("no such thing");
    await page.getByText("no other container matches").waitFor();
    await field.fill("shop-web-1");
    await field.press("Enter");
    await page.waitForURL(new RegExp(`vs=${CONTAINER}`));
    await page.locator(".compared").getByRole("link", { name: "shop-web-1" }).waitFor();
    await expect.poll(() => vs(page, "memory")).toBe("vs 154 MiB");
    await page.locator(".compared").getByRole("link", { name: "shop-web-1" }).click();
    await page.waitForURL(new RegExp(`/c/${CONTAINER}$`));
    await page.getByRole("heading", { name: "shop-web-1" }).waitFor();
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("a live page asks the other, whose seconds are all past, once", async () => {
    const { context, page, wrong } = await tab(chrome);
    const urls = asked(page);
    await fed(async () => {
      await show(page, `/c/${CONTAINER}?span=60&vs=${other}`);
      await page.locator(".dot.on").waitFor();
      await page.locator(".compared").getByText("nothing is known of it in this part of its life").waitFor();
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

  test("what may not be seen, is not there or is the same is said, and the page goes on", async () => {
    const { context, page, wrong } = await tab(chrome);
    const alert = page.locator(".compared").getByRole("alert");
    await show(page, past(300, 360, "&vs=0000000000aa"));
    await alert.getByText("no container 0000000000aa is known").waitFor();
    await show(page, past(300, 360, `&vs=${CONTAINER}`));
    await alert.getByText("a container is not compared with itself").waitFor();
    await page.goto(link(past(300, 360), server.token("--container", CONTAINER)));
    await page.getByTestId("tile-cpu").waitFor();
    await page.getByText("Compare", { exact: true }).first().click();
    await page.getByText("this token is for one container").waitFor();
    await page.getByRole("searchbox", { name: "compare with" }).fill(other);
    await page.keyboard.press("Enter");
    await alert.getByText("this token is for another container, and good for that one alone").waitFor();
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
    await server.tell("fd", then, peers);
  });

  test("few are drawn: who connected to whom, how much went each way, what failed", async () => {
    const { context, page, wrong } = await tab(chrome);
    await show(page, past(300, 360));
    const graph = page.getByRole("img", { name: "shop-web-1 and its 5 peers" });
    await graph.waitFor();
    const said = await graph.getAttribute("aria-label");
    // Of three peers each has 20 seconds, in which two workers send 12,288 bytes.
    expect(said).toContain("10.1.0.2:40000 connected to it: 78.1 KiB received, 480 KiB sent;");
    expect(said).toMatch(/it connected to 10\.9\.9\.9:5432: 0 B received, 0 B sent, 2 failed$/);
    expect(await graph.locator("polygon").count()).toBe(5);
    expect((await graph.locator("text").allTextContents()).map((text) => text.trim())).toContain("✖ 2 10.9.9.9:5432");
    await page.getByRole("button", { name: "as a graph" }).press("Enter");
    await graph.waitFor({ state: "detached" });
    expect(wrong).toEqual([]);
    await context.close();
  });

  test("more than thirty are a table alone", async () => {
    const { context, page, wrong } = await tab(chrome);
    await page.goto(link(`/c/${crowded}`));
    await page.getByText("31 peers").waitFor();
    expect(await page.getByRole("button", { name: "as a graph" }).count()).toBe(0);
    expect(wrong).toEqual([]);
    await context.close();
  });
});
