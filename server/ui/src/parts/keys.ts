// Keyboard shortcuts of the container page. Ignored while a field has the focus.

import type { Page } from "../lib/state/page.svelte";

export const KEYS: readonly [string, string][] = [
  ["L", "switch between live and past"],
  ["T", "type a time: 12:03-12:05, -2h"],
  ["W  S", "zoom in and out at the pointer; Shift + wheel, pinch"],
  ["A  D", "to earlier and later; double click: zoom out"],
  ["Alt ← →", "to the ranges before (the browser's history)"],
  ["← →", "one slot back or forward; ten with Shift"],
  ["Space", "pause the live view; in the past play or stop"],
  ["n  p", "next and previous event"],
  ["Backspace", "show all processes"],
  ["Escape", "close the side panel; show the tables over the whole range"],
  ["↑ ↓ Enter", "in the lanes: move, show a process; + and - fold"],
];

/** What one key press does: the length of the range times this, and this share of it. */
const ZOOM = 1.5;
const PAN = 0.25;

const TYPING = new Set(["INPUT", "SELECT", "TEXTAREA"]);

export function pageKey(page: Page, event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || page.summary === null) return;
  const target = event.target as HTMLElement | null;
  if (target !== null && TYPING.has(target.tagName)) return;
  const act = action(page, event, target);
  if (act === null) return;
  event.preventDefault();
  act();
}

function action(page: Page, event: KeyboardEvent, target: HTMLElement | null): (() => void) | null {
  const slots = event.shiftKey ? 10 : 1;
  switch (event.key) {
    case "l":
    case "L":
      return () => page.toggleLive();
    case "t":
    case "T":
      return () => document.querySelector<HTMLElement>('[data-key="t"]')?.focus();
    case "w":
    case "W":
      return () => page.zoomBy(1 / ZOOM);
    case "s":
    case "S":
      return () => page.zoomBy(ZOOM);
    case "a":
    case "A":
      return () => page.pan(-PAN);
    case "d":
    case "D":
      return () => page.pan(PAN);
    case "ArrowLeft":
      return () => page.step(-slots);
    case "ArrowRight":
      return () => page.step(slots);
    case " ":
      // Space presses the button that has the focus.
      return target?.closest("button, a, summary") ? null : () => page.togglePause();
    case "n":
      return () => page.jump(1);
    case "p":
      return () => page.jump(-1);
    case "Backspace":
      return page.view.process === null ? null : () => page.select(null);
    case "Escape":
      if (page.view.thing !== null) return () => page.showThing(null);
      return page.view.at === null ? null : () => page.unpick();
    default:
      return null;
  }
}
