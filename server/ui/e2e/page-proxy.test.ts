// The page below a path of another site: a real nginx with the configuration in docs/proxy.md, in front of a
// real server.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { browser, CONTAINER, Server, tab } from "./system";

const BASE = "/bubble";
const server = new Server("--base", BASE);
const folder = mkdtempSync(join(tmpdir(), "bubble-e2e-nginx-"));
const now = (): number => Math.floor(Date.now() / 1000);
const started = now() - 600 - (now() % 60);
let posted = started;
let nginx: ChildProcess;
let site = "";
let chrome: Browser;
let admin: string;

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** The configuration in the document, for this server. */
function documented(): string {
  const text = readFileSync(fileURLToPath(new URL("../../../docs/proxy.md", import.meta.url)), "utf8");
  const block = /```nginx\n([\s\S]*?)```/.exec(text)?.[1];
  if (block === undefined || !block.includes("http://127.0.0.1:8080")) throw new Error("docs/proxy.md has no configuration of nginx");
  return block.replaceAll("http://127.0.0.1:8080", server.url);
}

async function startNginx(): Promise<void> {
  const port = await freePort();
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join("\n");
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off;\nworker_processes 1;\npid ${folder}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${paths}\nserver {\nlisten 127.0.0.1:${port};\n${documented()}\n}\n}\n`,
  );
  nginx = spawn(process.env.NGINX_BIN ?? "/usr/sbin/nginx", ["-c", join(folder, "nginx.conf"), "-p", folder], { stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  nginx.stderr?.on("data", (text: Buffer) => (complaint += String(text)));
  site = `http://127.0.0.1:${port}`;
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(`${site}${BASE}/ping`).catch(() => null);
    if (answer?.ok) return;
    if (attempt > 100 || nginx.exitCode !== null) throw new Error(`nginx does not answer: ${complaint}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function catchUp(): Promise<void> {
  const until = now();
  if (until > posted) await server.postBatch(started, posted, until - posted);
  posted = Math.max(posted, until);
}

beforeAll(async () => {
  await server.start();
  admin = server.token("--admin");
  await catchUp();
  await startNginx();
  chrome = await browser();
});

afterAll(async () => {
  await chrome?.close();
  nginx?.kill();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("the page, its parts, streams and links work below a path", async () => {
  const { context, page, wrong } = await tab(chrome);
  const outside: string[] = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "blob:" && !url.pathname.startsWith(`${BASE}/`)) outside.push(request.url());
  });
  page.on("response", (response) => response.status() >= 400 && outside.push(`${response.status()} ${response.url()}`));
  await page.goto(`${site}${BASE}/#token=${admin}`);
  await page.getByRole("link", { name: "Hosts" }).click();
  await page.getByRole("link", { name: "its containers" }).click();
  expect(new URL(page.url()).pathname).toBe(`${BASE}/`);
  await page.getByRole("link", { name: "shop-web-1" }).click();
  expect(new URL(page.url()).pathname).toBe(`${BASE}/c/${CONTAINER}`);
  // Each second is on the page although nginx buffers other answers.
  await page.locator(".dot.on").waitFor();
  for (let slot = 0; slot < 2; slot++) {
    const end = (): Promise<string | null> => page.getByRole("slider").getAttribute("aria-valuenow");
    const seen = await end();
    await expect
      .poll(async () => {
        await catchUp();
        return end();
      }, { timeout: 20_000 })
      .not.toBe(seen);
  }
  // A part that is loaded later, and a link made by it.
  await page.getByText("Share", { exact: true }).click();
  await page.getByRole("button", { name: "Create link" }).click();
  const link = await page.getByRole("textbox", { name: "shared link" }).inputValue();
  expect(link.startsWith(`${site}${BASE}/c/${CONTAINER}?`)).toBe(true);
  await page.getByText("Export", { exact: true }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as file" }).click()]);
  expect(readFileSync(await download.path(), "utf8")).toContain("bubble-data");
  expect([...wrong, ...outside]).toEqual([]);
  await context.close();

  const receiver = await tab(chrome);
  await receiver.page.goto(link);
  await receiver.page.getByTestId("shared").waitFor();
  await receiver.page.goto(`${site}${BASE}/static/index.html?container=${CONTAINER}&token=${admin}`);
  await receiver.page.getByTestId("tile-cpu").waitFor();
  expect(receiver.page.url()).toContain(`${site}${BASE}/c/${CONTAINER}`);
  await receiver.page.goto(`${site}${BASE}`);
  await receiver.page.getByRole("link", { name: "shop-web-1" }).waitFor();
  expect(receiver.wrong).toEqual([]);
  await receiver.context.close();
});
