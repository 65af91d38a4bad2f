// Takes the pictures in docs/pictures: the page of a container in light and in dark,
// from a real run. Starts `cargo xtask up` on ports and in a folder of its own, lets its
// demo run for a while, and stops it. Needs root for the agent, Chromium, and a host
// without other containers.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PICTURES = join(ROOT, "docs/pictures");
/** Seconds of the container's life in a picture. The demo does everything at least once in them. */
const SPAN = 120;
/** Prefix of the name of the demo on the page. */
const DEMO = "bubble-demo";
const VIEWPORT = { width: 1200, height: 1010 };
const MAX_BYTES = 200_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function freePort() {
  return new Promise((resolve, reject) => {
    const listener = createServer().once("error", reject);
    listener.listen(0, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
}

/** Starts the system. Returns the process, and the link that it prints. */
async function up(data) {
  const args = ["xtask", "up", "--server-port", await freePort(), "--agent-port", await freePort(), "--data", data];
  const child = spawn("cargo", args.map(String), { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  const link = await new Promise((resolve, reject) => {
    child.stdout.on("data", (text) => {
      process.stdout.write(text);
      output += text;
      const found = /http:\/\/127\.0\.0\.1:\d+\/\S*#token=\S+/.exec(output);
      if (found !== null) resolve(new URL(found[0]));
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`cargo xtask up exited with ${code}`)));
  });
  return { child, link };
}

async function stop(child) {
  if (child.exitCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await exited;
}

/** Waits until the demo has run for `SPAN` seconds. Returns its id. */
async function demo(origin, token) {
  for (let attempt = 0; attempt < 3 * SPAN; attempt++) {
    const response = await fetch(`${origin}/api/v1/containers?sort=activity`, { headers: { authorization: `Bearer ${token}` } });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const { containers } = await response.json();
    const found = containers.find((item) => item.name.startsWith(DEMO));
    if (found === undefined && attempt > SPAN / 2) break;
    if (found !== undefined && Date.now() / 1000 - found.first_seen > SPAN) return found.id;
    await sleep(1000);
  }
  throw new Error("there is no demo, as other containers run on this host: stop them first");
}

async function take(browser, address, scheme) {
  const context = await browser.newContext({ viewport: VIEWPORT, colorScheme: scheme, timezoneId: "UTC" });
  const page = await context.newPage();
  await page.goto(address);
  await page.locator(".dot.on").waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".u-over").length >= 5);
  await page.waitForFunction(() => document.querySelector(".grid")?.getAttribute("aria-busy") === "false");
  const png = await page.screenshot();
  await context.close();
  if (png.length > MAX_BYTES) throw new Error(`the ${scheme} picture has ${png.length} bytes, more than ${MAX_BYTES}`);
  writeFileSync(join(PICTURES, `container-${scheme}.png`), png);
  console.log(`docs/pictures/container-${scheme}.png: ${png.length} bytes`);
}

const data = mkdtempSync(join(tmpdir(), "bubble-pictures-"));
let child = null;
let browser = null;
try {
  const system = await up(data);
  child = system.child;
  const { origin, hash } = system.link;
  const id = await demo(origin, hash.replace("#token=", ""));
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
  mkdirSync(PICTURES, { recursive: true });
  for (const scheme of ["light", "dark"]) await take(browser, `${origin}/c/${encodeURIComponent(id)}?span=${SPAN}${hash}`, scheme);
} finally {
  await browser?.close();
  if (child !== null) await stop(child);
  rmSync(data, { recursive: true, force: true });
}
