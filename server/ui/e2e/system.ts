// A real server with data, and a real browser.

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type BrowserContext, type Locator, type Page } from "playwright-core";

const TARGET = fileURLToPath(new URL(`../../../target/${process.arch === "arm64" ? "aarch64" : "x86_64"}-unknown-linux-gnu/debug/`, import.meta.url));
export const CONTAINER = "c0ffee123456";
/** A capture of some seconds, with the containers of agent/tests/captures/containers.workload.sh. */
export const CAPTURE = fileURLToPath(new URL("../../../agent/tests/captures/containers.scap", import.meta.url));

function program(variable: string, path: string, build: string): string {
  const file = process.env[variable] ?? join(TARGET, path);
  if (!existsSync(file)) throw new Error(`${file} is missing: run ${build}, or set ${variable}`);
  return file;
}

export class Server {
  private readonly bin = program("BUBBLE_SERVER_BIN", "bubble-server", "cargo build -p bubble-server");
  private readonly batch = program(
    "BUBBLE_PAGE_BATCH_BIN",
    "examples/page_batch",
    "cargo build -p bubble-common --example page_batch",
  );
  private readonly data = mkdtempSync(join(tmpdir(), "bubble-e2e-"));
  private child: ChildProcess | null = null;
  private readonly flags: string[];
  private key = "";
  url = "";

  constructor(...flags: string[]) {
    this.flags = flags;
  }

  /** Starts the server on SQLite or on BUBBLE_STORE. A restart keeps the port. */
  async start(): Promise<void> {
    if (this.url === "" && process.env.BUBBLE_STORE !== undefined) this.run("db", "init", "--replication", "1");
    const listen = this.url === "" ? "127.0.0.1:0" : new URL(this.url).host;
    const child = spawn(this.bin, ["serve", "--listen", listen, "--data", this.data, "--durability", "process", ...this.flags], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    this.url = await new Promise<string>((resolve, reject) => {
      let output = "";
      const read = (text: Buffer): void => {
        // Strip colours, which would be between the words.
        output += String(text).replace(/\x1b\[[0-9;]*m/g, "");
        const address = /address=(127\.0\.0\.1:\d+)/.exec(output)?.[1];
        if (address !== undefined) resolve(`http://${address}`);
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.once("exit", (code) => reject(new Error(`the server exited with ${code}: ${output}`)));
    });
    if (this.key === "") this.key = this.run("key", "create", "--owner", "e2e");
  }

  async kill(): Promise<void> {
    const child = this.child;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.data, { recursive: true, force: true });
  }

  token(...of: string[]): string {
    return this.run("token", ...of);
  }

  /** Posts a batch made by common/examples/page_batch. */
  async postBatch(started: number, from: number, seconds: number, burst = 0): Promise<void> {
    await this.postMade(started, from, seconds, burst);
  }

  /** Posts the batch of a build (common/examples/page_batch/build.rs). */
  async postBuild(start: number, units: number): Promise<void> {
    await this.postMade("build", start, units);
  }

  /** Posts a night of 300 jobs (common/examples/page_batch/jobs.rs). */
  async postJobs(start: number): Promise<void> {
    await this.postMade("jobs", start);
  }

  /** Posts a minute of two containers that wait (common/examples/page_batch/slow.rs). */
  async postSlow(start: number): Promise<void> {
    await this.postMade("slow", start);
  }

  /** Posts the other end of the shop's connections. */
  async postProxy(start: number, seconds: number): Promise<void> {
    await this.postMade("proxy", start, seconds);
  }

  private async postMade(...words: (string | number)[]): Promise<void> {
    const body = execFileSync(this.batch, words.map(String), { maxBuffer: 1 << 26 });
    await this.post("/api/v1/batch", new Uint8Array(body), "application/vnd.bubble.batch");
  }

  /** Posts rows of the second `at` in the format of the chisel (docs/legacy.md). */
  async postEvent(kind: "cpu" | "fd", at: number, rows: (string | number)[][]): Promise<void> {
    const body = JSON.stringify({ ts: `${at}000000000`, data: rows, evt_type: kind, jinfo: [] });
    await this.post(`/event/api/${this.key}`, body, "application/json");
  }

  /** Uploads a capture with a token. */
  async upload(token: string, name: string, file: string): Promise<void> {
    const path = `/api/v1/recordings?name=${encodeURIComponent(name)}`;
    await this.post(path, new Uint8Array(readFileSync(file)), "application/octet-stream", token);
  }

  private async post(path: string, body: BodyInit, type: string, bearer = this.key): Promise<void> {
    const headers = { authorization: `Bearer ${bearer}`, "content-type": type };
    const response = await fetch(`${this.url}${path}`, { method: "POST", headers, body });
    if (!response.ok) throw new Error(`the server answered ${response.status}: ${await response.text()}`);
  }

  private run(...args: string[]): string {
    return execFileSync(this.bin, [...args, "--data", this.data], { stdio: ["ignore", "pipe", "ignore"] })
      .toString()
      .trim();
  }
}

export async function browser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ],
  });
}

export interface Viewport {
  width: number;
  height: number;
  scheme: "light" | "dark";
}
export const DESKTOP: Viewport = { width: 1280, height: 900, scheme: "light" };

/** A tab that records in `wrong` what must not happen: errors, dialogs, policy violations, requests to other hosts. */
export async function tab(chrome: Browser, viewport: Viewport = DESKTOP): Promise<{ context: BrowserContext; page: Page; wrong: string[] }> {
  const context = await chrome.newContext({
    viewport: { width: viewport.width, height: viewport.height },
    colorScheme: viewport.scheme,
    timezoneId: "UTC",
    acceptDownloads: true,
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => {
    // The browser logs failed requests itself. The tests check how the page shows them.
    const text = message.text();
    if (message.type() === "error" && !text.startsWith("Failed to load resource")) wrong.push(text);
  });
  page.on("dialog", (dialog) => {
    wrong.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    if (!/^(http:\/\/127\.0\.0\.1|blob:)/.test(request.url())) wrong.push(`a request to ${request.url()}`);
  });
  return { context, page, wrong };
}

/** Samples in a row that must agree before an element counts as still, and the delay between two in ms. */
const STILL_SAMPLES = 5;
const STILL_INTERVAL = 60;

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Where an element is, once the page has all of its parts and moves no more. The mouse is sent to places, not to elements. */
export async function still(page: Page, element: Locator): Promise<Box> {
  await page.waitForFunction(() => document.querySelector('[aria-busy="true"], .menu-place') === null);
  // Into the middle: at the top the time bar would be over it.
  await element.evaluate((each) => each.scrollIntoView({ block: "center" }));
  let last = "";
  for (let same = 0; same < STILL_SAMPLES; ) {
    const box = JSON.stringify([await element.boundingBox(), await page.evaluate(() => document.documentElement.scrollHeight)]);
    same = box === last ? same + 1 : 0;
    last = box;
    await page.waitForTimeout(STILL_INTERVAL);
  }
  const [box] = JSON.parse(last) as [Box | null];
  if (box === null) throw new Error(`${element} is not on the page`);
  return box;
}

/** Drags over an element, from one part of its width to another, 40 pixels below its top. */
export async function drag(page: Page, element: Locator, from: number, to: number): Promise<Box> {
  const box = await still(page, element);
  const y = box.y + Math.min(40, box.height / 2);
  await page.mouse.move(box.x + box.width * from, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * to, y, { steps: 5 });
  await page.mouse.up();
  return box;
}

/** Saves a screenshot of the page if BUBBLE_SCREENSHOTS names a folder. */
export async function screenshot(page: Page, name: string): Promise<void> {
  if (process.env.BUBBLE_SCREENSHOTS) savePng(await page.screenshot({ fullPage: true }), name);
}

/** Saves a PNG in the folder BUBBLE_SCREENSHOTS, if set. */
export function savePng(png: Uint8Array, name: string): void {
  const folder = process.env.BUBBLE_SCREENSHOTS;
  if (folder === undefined || folder === "") return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.png`), png);
}
