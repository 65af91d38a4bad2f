import { mount } from "svelte";
import "uplot/dist/uPlot.min.css";
import "./app.css";
import "./lanes.css";
import App from "./App.svelte";
import { serverNow } from "./lib/api/client";
import { readSaved } from "./lib/saved";
import { clock } from "./lib/state/clock.svelte";
import { start } from "./lib/state/route.svelte";
import { takeToken } from "./lib/token";

async function open(target: HTMLElement): Promise<void> {
  takeToken();
  try {
    await readSaved();
  } catch (error) {
    target.textContent = `This file cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    return;
  }
  start();
  clock.now = serverNow();
  mount(App, { target });
}

const target = document.getElementById("app");
if (target !== null) void open(target);
