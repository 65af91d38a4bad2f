// Captures in Chromium: dropped on the page, read by a real server, listed and deleted.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { browser, CAPTURE, DESKTOP, screenshot, Server, tab } from "./system";

const server = new Server("--max-capture", "4000000");
const folder = mkdtempSync(join(tmpdir(), "bubble-e2e-recordings-"));
let chrome: Browser;
let admin: string;

beforeAll(async () => {
  await server.start();
  admin = server.token("--admin");
  chrome = await browser();
});

afterAll(async () => {
  await chrome?.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string, content: Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const card = (page: Page, name: string) => page.getByRole("article", { name, exact: true });
const upload = (page: Page, name: string) => page.getByRole("list", { name: "uploads" }).getByRole("listitem").filter({ has: page.getByRole("status") }).filter({ hasText: name });

/** Drops a file in the middle of an element. */
async function drop(page: Page, selector: string, name: string, path: string): Promise<void> {
  const data = await page.evaluateHandle(
    ([name, base64]) => {
      const bytes = Uint8Array.from(atob(base64 ?? ""), (letter) => letter.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name ?? ""));
      return transfer;
    },
    [name, readFileSync(path).toString("base64")],
  );
  await page.dispatchEvent(selector, "dragover", { dataTransfer: data });
  await page.dispatchEvent(selector, "drop", { dataTransfer: data });
}

test("a capture that is dropped is read, listed, linked at its range and deleted", async () => {
  const { context, page, wrong } = await tab(chrome);
  await page.goto(`${server.url}/#token=${admin}`);
  await page.getByRole("link", { name: "Recordings" }).click();
  await page.getByText("No capture is stored yet").waitFor();
  await screenshot(page, "recordings-empty-light-1280");

  await drop(page, "main .empty", "night.scap", CAPTURE);
  await upload(page, "night.scap").getByText("317,459 events of 5 containers").waitFor();
  const found = card(page, "night.scap");
  const text = (await found.innerText()).replace(/\s+/g, " ");
  expect(text).toContain("by administrator");
  expect(text).toContain("scap");
  expect(text).toContain("317,459");
  expect(text).toContain("not counted nothing");
  await screenshot(page, "recordings-light-1280");

  // The link leads to the whole range of the container: the loop that used 1.56 s of CPU.
  await found.getByRole("link", { name: "5961688fa2f4" }).or(found.getByRole("link", { name: "busy" })).first().click();
  await page.getByTestId("tile-cpu").waitFor();
  expect(page.url()).toMatch(/\/c\/5961688fa2f4\?from=\d+&to=\d+/);
  expect(await page.locator("dl.accounting").innerText()).toMatch(/1\.5[5-9] s/);

  // The upload is still told when one comes back, until it is dismissed.
  await page.getByRole("link", { name: "Recordings" }).click();
  await upload(page, "night.scap").getByRole("button", { name: "dismiss night.scap" }).click();
  await found.getByRole("button", { name: "delete night.scap" }).click();
  await found.getByRole("button", { name: "Keep" }).click();
  await found.getByRole("button", { name: "delete night.scap" }).click();
  await found.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByText("night.scap is deleted").waitFor();
  await page.getByText("No capture is stored yet").waitFor();
  expect(wrong).toEqual([]);
  await context.close();
});

test("by keyboard, several files: one is no capture, one too large, one cut; each says so", async () => {
  const { context, page, wrong } = await tab(chrome, { width: 380, height: 800, scheme: "dark" });
  await page.goto(`${server.url}/recordings#token=${admin}`);
  const input = page.getByRole("button", { name: "Choose captures" });
  await input.waitFor();
  // The keyboard reaches the button.
  for (let i = 0; i < 20 && !(await input.evaluate((each) => each === document.activeElement)); i++) await page.keyboard.press("Tab");
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Space");
  const capture = readFileSync(CAPTURE);
  await (await chooser).setFiles([
    file("notes.txt", new TextEncoder().encode("hello")),
    file("large.scap", new Uint8Array(4_000_001)),
    file("cut.scap", capture.subarray(0, capture.length / 2)),
  ]);
  await upload(page, "notes.txt").getByRole("alert").filter({ hasText: "neither a capture" }).waitFor();
  await upload(page, "large.scap").getByRole("alert").filter({ hasText: "4,000,000 bytes" }).waitFor();
  await upload(page, "cut.scap").getByText("It is not whole: cut short").waitFor();
  expect(await card(page, "cut.scap").innerText()).toContain("It is not whole: cut short");
  // A name of a stranger is text.
  await page.locator("input[type=file]").setInputFiles(file("<img src=x onerror=alert(1)>.scap".replaceAll("/", ""), capture));
  await card(page, "<img src=x onerror=alert(1)>.scap").waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(380);
  await screenshot(page, "recordings-errors-dark-380");
  expect(wrong).toEqual([]);
  await context.close();
});

test("a token for one container does not show them", async () => {
  const { context, page } = await tab(chrome, DESKTOP);
  await page.goto(`${server.url}/recordings#token=${server.token("--container", "5961688fa2f4")}`);
  await page.getByRole("heading", { name: "This token is not for this page" }).waitFor();
  expect(await page.getByRole("link", { name: "Recordings" }).count()).toBe(0);
  await context.close();
});
