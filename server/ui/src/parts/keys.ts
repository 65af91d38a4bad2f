// The keys of the container page. They act unless the person is typing.

import type { Page } from "../lib/state/page.svelte";

export const KEYS: readonly [string, string][] = [
  ["L", "live, or back to the past"],
  ["← →", "one slot back or on; with Shift ten"],
  ["Space", "play the past, or stop"],
  ["n  p", "next and previous event"],
  ["Backspace", "all processes again"],
  ["Escape", "tables over the whole range again"],
];

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
    case "ArrowLeft":
      return () => page.step(-slots);
    case "ArrowRight":
      return () => page.step(slots);
    case " ":
      // A button that has the focus is pressed by it.
      return target?.closest("button, a, summary") ? null : () => page.togglePlay();
    case "n":
      return () => page.jump(1);
    case "p":
      return () => page.jump(-1);
    case "Backspace":
      return page.view.process === null ? null : () => page.select(null);
    case "Escape":
      return page.view.at === null ? null : () => page.unpick();
    default:
      return null;
  }
}
