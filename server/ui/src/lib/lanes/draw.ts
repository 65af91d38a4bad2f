// Draws lanes on a canvas: only the rows that are visible, so their number does not matter.

import { hatch, type Theme } from "../chart/theme";
import { coreColour } from "../palette";
import { gaps } from "../slots";
import { axisTimes } from "../units";
import { ICONS, type Cluster, type EventIcon } from "./events";
import { AXIS, EVENTS, firstCell, HEAD, livedSeconds, plotWidth, slotSpan, ticks, visibleRows, xOf, type Layout } from "./layout";
import type { LaneRow, Strip } from "./rows";
import { rowLabel } from "./text";
import type { LaneSet } from "./set";

export interface Scene {
  set: LaneSet;
  rows: readonly LaneRow[];
  tops: readonly number[];
  /** The CPU time of a row, and the percent of one core that its full height is. */
  strip(row: LaneRow): { strip: Strip; full: number };
  clusters: readonly Cluster[];
  /** The life of the container. Outside of it there is no gap, but nothing at all. */
  lived: readonly [number, number];
  /** Index of the row under the pointer, and of that with the keyboard's focus. */
  hovered: number | null;
  focused: number | null;
  /** Key of the process in the side panel. */
  chosen: string | null;
  /** Time under the pointer, and the instant of the tables. */
  hover: number | null;
  at: number | null;
  utc: boolean;
}

const FONT = "12px system-ui, sans-serif";
const SMALL = "11px system-ui, sans-serif";
/** Width in pixels of a level of the tree. */
const INDENT = 10;
/** Deeper levels are not indented further. */
const MAX_INDENT = 8;

export function draw(context: CanvasRenderingContext2D, layout: Layout, scene: Scene, theme: Theme): void {
  const ratio = devicePixelRatio;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, layout.width, layout.height);
  const [first, last] = visibleRows(layout, scene.tops);
  grid(context, layout, scene, theme);
  context.save();
  context.beginPath();
  context.rect(0, HEAD, layout.width, layout.height - HEAD);
  context.clip();
  unknown(context, layout, scene, theme);
  for (let index = first; index < last; index++) {
    const row = scene.rows[index];
    if (row !== undefined) drawRow(context, layout, scene, theme, row, index);
  }
  context.restore();
  events(context, layout, scene, theme);
  cursor(context, layout, scene, theme);
}

/** The time axis, and lines at its ticks. */
function grid(context: CanvasRenderingContext2D, layout: Layout, scene: Scene, theme: Theme): void {
  const times = ticks(layout);
  context.font = SMALL;
  context.textBaseline = "middle";
  context.textAlign = "center";
  axisTimes(times, scene.utc).forEach((text, i) => {
    const x = Math.round(xOf(layout, times[i] ?? 0)) + 0.5;
    context.strokeStyle = theme.grid;
    context.beginPath();
    context.moveTo(x, AXIS);
    context.lineTo(x, layout.height);
    context.stroke();
    context.fillStyle = theme.muted;
    context.fillText(text, Math.min(Math.max(x, layout.left + 24), layout.width - 26), AXIS / 2);
  });
}

/** Hatches times without data. */
function unknown(context: CanvasRenderingContext2D, layout: Layout, scene: Scene, theme: Theme): void {
  const { range, covered } = scene.set;
  const spans = gaps(range, covered);
  if (spans.length === 0) return;
  context.fillStyle = hatch(context, theme.hatch);
  for (const [from, to] of spans) {
    const left = Math.max(layout.left, xOf(layout, Math.max(from, scene.lived[0])));
    const right = Math.min(layout.width - layout.right, xOf(layout, Math.min(to, scene.lived[1])));
    if (right > left) context.fillRect(left, HEAD, right - left, layout.height - HEAD);
  }
}

function drawRow(context: CanvasRenderingContext2D, layout: Layout, scene: Scene, theme: Theme, row: LaneRow, index: number): void {
  const top = HEAD + (scene.tops[index] ?? 0) - layout.scroll;
  const tall = (scene.tops[index + 1] ?? 0) - (scene.tops[index] ?? 0);
  const isChosen = scene.chosen !== null && row.key.startsWith(scene.chosen);
  if (index === scene.hovered || isChosen) {
    context.fillStyle = theme.grid;
    context.globalAlpha = 0.6;
    context.fillRect(0, top, layout.width, tall);
    context.globalAlpha = 1;
  }
  if (isChosen || index === scene.focused) {
    context.fillStyle = theme.accent;
    context.fillRect(0, top, 3, tall);
  }
  name(context, layout, theme, row, top, tall);
  context.save();
  context.beginPath();
  context.rect(layout.left, top, plotWidth(layout), tall);
  context.clip();
  life(context, layout, scene, theme, row, top, tall);
  cpu(context, layout, scene, row, top, tall);
  ends(context, layout, theme, row, top, tall);
  context.restore();
}

function name(context: CanvasRenderingContext2D, layout: Layout, theme: Theme, row: LaneRow, top: number, tall: number): void {
  const left = 6 + Math.min(row.depth, MAX_INDENT) * INDENT;
  context.save();
  context.beginPath();
  context.rect(0, top, layout.left - 6, tall);
  context.clip();
  context.font = FONT;
  context.textAlign = "left";
  context.textBaseline = "middle";
  const middle = top + tall / 2 + 1;
  if (row.hasMore) {
    context.fillStyle = theme.muted;
    context.fillText(row.isOpen ? "▾" : "▸", left, middle);
  }
  context.fillStyle = row.oomKilled > 0 || row.failed > 0 ? theme.bad : theme.text;
  context.fillText(`${row.failed > 0 ? "✖ " : ""}${rowLabel(row)}`, left + 12, middle);
  context.restore();
}

/** The bar from start to end: what was not used is a line, not nothing. */
function life(context: CanvasRenderingContext2D, layout: Layout, scene: Scene, theme: Theme, row: LaneRow, top: number, tall: number): void {
  const bottom = top + tall - 2;
  if (row.start === null) {
    // Start and end are unknown.
    context.fillStyle = theme.hatch;
    for (let x = layout.left; x < layout.width - layout.right; x += 8) context.fillRect(x, bottom - 1, 3, 1);
    return;
  }
  const left = xOf(layout, row.start);
  const right = Math.max(left + 1.5, xOf(layout, row.end ?? Math.min(layout.shown[1], scene.lived[1])));
  context.fillStyle = theme.hatch;
  context.globalAlpha = 0.22;
  context.fillRect(left, top + 2, right - left, tall - 4);
  context.globalAlpha = 1;
  context.fillRect(left, bottom - 1, right - left, 1);
}

/** CPU time, stacked by core. Slots that share a pixel column show the highest of them. */
function cpu(context: CanvasRenderingContext2D, layout: Layout, scene: Scene, row: LaneRow, top: number, tall: number): void {
  const { set } = scene;
  const { strip, full } = scene.strip(row);
  const [from, to] = layout.shown;
  const room = tall - 4;
  const bottom = top + tall - 2;
  const isOne = !row.isGroup && row.count === 1 && row.below === 0;
  let drawn = -Infinity;
  let tallest = 0;
  let cell = firstCell(strip, Math.floor((from - set.range.from) / set.range.step));
  while (cell < strip.last) {
    const slot = strip.slot[cell] ?? 0;
    let [start, end] = slotSpan(set.range, slot);
    if (start >= to) break;
    if (isOne) {
      start = Math.max(start, row.start ?? start);
      end = Math.min(end, row.end ?? end);
    }
    const lived = livedSeconds(set, row, slot) * 1e4 * full;
    const first = cell;
    let us = 0;
    for (; cell < strip.last && strip.slot[cell] === slot; cell++) us += strip.us[cell] ?? 0;
    const left = Math.floor(xOf(layout, start));
    const right = Math.max(left + 1, Math.floor(xOf(layout, end)));
    const bar = Math.min(room, Math.max(1, (us / lived) * room));
    if (left <= drawn && right - left <= 1 && bar <= tallest) continue;
    drawn = left;
    tallest = bar;
    let y = bottom;
    for (let each = first; each < cell; each++) {
      const part = ((strip.us[each] ?? 0) / us) * bar;
      context.fillStyle = coreColour(strip.core[each] ?? 0);
      context.fillRect(left, y - part, right - left, part);
      y -= part;
    }
  }
}

/** A red end for each failure and signal. */
function ends(context: CanvasRenderingContext2D, layout: Layout, theme: Theme, row: LaneRow, top: number, tall: number): void {
  context.fillStyle = theme.bad;
  context.font = SMALL;
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const at of row.failedAt) {
    const x = Math.round(xOf(layout, at));
    if (x < layout.left - 20 || x > layout.width) continue;
    context.fillRect(x - 1, top + 1, 3, tall - 2);
    if (!row.isGroup) context.fillText("✖", x + 4, top + tall / 2 + 1);
  }
}

const isBad = (icon: EventIcon): boolean => icon === "oom";
const isWarning = (icon: EventIcon): boolean => icon === "failures" || icon === "throttled";

function events(context: CanvasRenderingContext2D, layout: Layout, scene: Scene, theme: Theme): void {
  context.font = SMALL;
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.fillStyle = theme.muted;
  const middle = AXIS + EVENTS / 2;
  context.fillText("events", 6, middle);
  context.fillStyle = theme.grid;
  context.fillRect(0, HEAD - 1, layout.width, 1);
  context.save();
  context.beginPath();
  context.rect(layout.left - 8, AXIS, plotWidth(layout) + 16, EVENTS);
  context.clip();
  context.textAlign = "center";
  context.font = FONT;
  for (const { main, all } of scene.clusters) {
    const x = xOf(layout, main.at);
    context.fillStyle = isBad(main.icon) ? theme.bad : isWarning(main.icon) ? theme.warn : theme.muted;
    if (main.to > main.at) {
      context.globalAlpha = 0.25;
      context.fillRect(x, middle - 6, Math.max(2, xOf(layout, main.to) - x), 12);
      context.globalAlpha = 1;
    }
    context.fillText(`${ICONS[main.icon].glyph}${all.length > 1 ? "⁺" : ""}`, x, middle);
  }
  context.restore();
  context.save();
  context.beginPath();
  context.rect(layout.left, HEAD, plotWidth(layout), layout.height - HEAD);
  context.clip();
  for (const { main } of scene.clusters) {
    if (!isBad(main.icon)) continue;
    context.fillStyle = theme.bad;
    context.globalAlpha = 0.5;
    context.fillRect(Math.round(xOf(layout, main.at)), HEAD, 1, layout.height - HEAD);
    context.globalAlpha = 1;
  }
  context.restore();
}

function cursor(context: CanvasRenderingContext2D, layout: Layout, scene: Scene, theme: Theme): void {
  const line = (at: number | null, colour: string, width: number): void => {
    if (at === null || at < layout.shown[0] || at > layout.shown[1]) return;
    context.fillStyle = colour;
    context.fillRect(Math.round(xOf(layout, at)), AXIS, width, layout.height - AXIS);
  };
  line(scene.at, theme.at, 2);
  line(scene.hover, theme.muted, 1);
}
