// A real server with real data in it, and a real browser in front of it.

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

const TARGET = fileURLToPath(new URL("../../../target/debug/", import.meta.url));
export const CONTAINER = "c0ffee123456";

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
  private key = "";
  url = "";

  /** Starts the server, with SQLite or on what BUBBLE_STORE names; on the port that it had when it ran before. */
  async start(): Promise<void> {
    if (this.url === "" && process.env.BUBBLE_STORE !== undefined) this.run("db", "init", "--replication", "1");
    const listen = this.url === "" ? "127.0.0.1:0" : new URL(this.url).host;
    const child = spawn(this.bin, ["serve", "--listen", listen, "--data", this.data, "--durability", "process"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    this.url = await new Promise<string>((resolve, reject) => {
      let said = "";
      const read = (text: Buffer): void => {
        // Colours, where there are any, would stand between the words.
        said += String(text).replace(/\x1b\[[0-9;]*m/g, "");
        const address = /address=(127\.0\.0\.1:\d+)/.exec(said)?.[1];
        if (address !== undefined) resolve(`http://${address}`);
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
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

  /** Posts what the example makes: see common/examples/page_batch.rs. */
  async post(started: number, from: number, seconds: number, burst = 0): Promise<void> {
    const body = execFileSync(this.batch, [started, from, seconds, burst].map(String), { maxBuffer: 1 << 26 });
    await this.take("/api/v1/batch", new Uint8Array(body), "application/vnd.bubble.batch");
  }

  /** Posts rows of the second `at` as sysdig's chisel does: see docs/legacy.md. */
  async tell(kind: "cpu" | "fd", at: number, rows: (string | number)[][]): Promise<void> {
    const body = JSON.stringify({ ts: `${at}000000000`, data: rows, evt_type: kind, jinfo: [] });
    await this.take(`/event/api/${this.key}`, body, "application/json");
  }

  private async take(path: string, body: BodyInit, type: string): Promise<void> {
    const headers = { authorization: `Bearer ${this.key}`, "content-type": type };
    const response = await fetch(`${this.url}${path}`, { method: "POST", headers, body });
    if (!response.ok) throw new Error(`the server answered ${response.status}: ${await response.text()}`);
  }

  private run(...words: string[]): string {
    return execFileSync(this.bin, [...words, "--data", this.data], { stdio: ["ignore", "pipe", "ignore"] })
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

export interface Look {
  width: number;
  height: number;
  scheme: "light" | "dark";
}
export const DESK: Look = { width: 1280, height: 900, scheme: "light" };

/** A tab that notes what must not happen: errors, dialogs, what the policy blocks, other hosts. */
export async function tab(from: Browser, look: Look = DESK): Promise<{ context: BrowserContext; page: Page; wrong: string[] }> {
  const context = await from.newContext({
    viewport: { width: look.width, height: look.height },
    colorScheme: look.scheme,
    timezoneId: "UTC",
    acceptDownloads: true,
  });
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => {
    // A refused or broken request is noted by the browser itself; the tests look at what the page makes of it.
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

/** Keeps a picture of the page, when BUBBLE_SCREENSHOTS names a folder. */
export async function picture(page: Page, name: string): Promise<void> {
  if (process.env.BUBBLE_SCREENSHOTS) keep(await page.screenshot({ fullPage: true }), name);
}

/** Keeps a PNG there, too. */
export function keep(png: Uint8Array, name: string): void {
  const folder = process.env.BUBBLE_SCREENSHOTS;
  if (folder === undefined || folder === "") return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.png`), png);
}
