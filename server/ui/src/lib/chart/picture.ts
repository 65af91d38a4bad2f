// Draws the visible charts on one canvas, for the PNG export.
//
// Names are untrusted input. They are only drawn as text, cut to the available width.

import { theme } from "./theme";

/** A legend's entry for one line. */
export interface LegendEntry {
  colour: string;
  label: string;
  value: string;
  dash: readonly number[];
}

/** A chart on the page. */
export interface VisibleChart {
  label: string;
  canvas: HTMLCanvasElement;
  legend(): LegendEntry[];
  /** Draws what it shows now: a chart that cannot be seen may be older. */
  draw(): void;
}

interface Size {
  label: string;
  width: number;
  height: number;
  legend: LegendEntry[];
}

type Ink = "text" | "muted";
type Measure = (text: string, font: string) => number;

/** Positions of everything in the picture, in CSS pixels. */
export interface Layout {
  width: number;
  height: number;
  texts: { text: string; x: number; y: number; font: string; ink: Ink }[];
  swatches: { x: number; y: number; colour: string; dash: readonly number[] }[];
  /** Top left corners of the charts. */
  charts: { x: number; y: number }[];
}

const FONT_FAMILY = "system-ui, sans-serif";
const NAME_FONT = `650 17px ${FONT_FAMILY}`;
const TITLE_FONT = `650 13px ${FONT_FAMILY}`;
const PLAIN_FONT = `12px ${FONT_FAMILY}`;
const VALUE_FONT = `600 12px ${FONT_FAMILY}`;
const MARGIN = 16;
const LINE_HEIGHT = 18;
const SWATCH_SIZE = 10;
const GAP = 5;
/** Distance of two legend entries. */
const ENTRY_GAP = 14;
/** A wider label is cut. */
const MAX_LABEL_WIDTH = 220;
/** A longer text is cut before it is measured. No picture is wide enough for more characters. */
const MAX_CHARACTERS = 500;

/** `text`, or as much of its start as fits into `width`, followed by an ellipsis. */
export function ellipsize(text: string, width: number, measure: (text: string) => number): string {
  // Cut between code points, never inside one.
  const letters = Array.from(text.slice(0, MAX_CHARACTERS));
  if (text.length <= MAX_CHARACTERS && measure(text) <= width) return text;
  let fits = 0;
  let over = letters.length + 1;
  while (over - fits > 1) {
    const middle = Math.floor((fits + over) / 2);
    if (measure(`${letters.slice(0, middle).join("")}…`) <= width) fits = middle;
    else over = middle;
  }
  return fits === 0 ? "" : `${letters.slice(0, fits).join("")}…`;
}

/** Lays out the head's lines, the container's name first, and the charts below them. */
export function layOut(head: readonly string[], charts: readonly Size[], measure: Measure): Layout {
  const inner = Math.max(...charts.map((chart) => chart.width));
  const layout: Layout = { width: inner + 2 * MARGIN, height: 0, texts: [], swatches: [], charts: [] };
  let y = MARGIN;
  const addText = (text: string, x: number, font: string, ink: Ink, maxWidth = inner): number => {
    const shown = ellipsize(text, maxWidth, (part) => measure(part, font));
    layout.texts.push({ text: shown, x, y: y + LINE_HEIGHT / 2, font, ink });
    return measure(shown, font);
  };
  head.forEach((line, i) => {
    addText(line, MARGIN, i === 0 ? NAME_FONT : PLAIN_FONT, i === 0 ? "text" : "muted");
    y += i === 0 ? 24 : LINE_HEIGHT;
  });
  for (const chart of charts) {
    y += ENTRY_GAP;
    addText(chart.label, MARGIN, TITLE_FONT, "text");
    y += LINE_HEIGHT + 2;
    layout.charts.push({ x: MARGIN, y });
    y += chart.height;
    let x = MARGIN;
    for (const entry of chart.legend) {
      const maxWidth = Math.min(MAX_LABEL_WIDTH, inner - SWATCH_SIZE - GAP);
      const label = ellipsize(entry.label, maxWidth, (part) => measure(part, PLAIN_FONT));
      const entryWidth = SWATCH_SIZE + GAP + measure(label, PLAIN_FONT) + GAP + measure(entry.value, VALUE_FONT);
      if (x > MARGIN && x + entryWidth > MARGIN + inner) {
        x = MARGIN;
        y += LINE_HEIGHT;
      }
      layout.swatches.push({ x, y: y + (LINE_HEIGHT - SWATCH_SIZE) / 2, colour: entry.colour, dash: entry.dash });
      x += SWATCH_SIZE + GAP;
      x += addText(label, x, PLAIN_FONT, "muted") + GAP;
      x += addText(entry.value, x, VALUE_FONT, "text", MARGIN + inner - x) + ENTRY_GAP;
    }
    if (chart.legend.length > 0) y += LINE_HEIGHT;
  }
  layout.height = Math.ceil(y + MARGIN);
  return layout;
}

/** Draws `charts` as a PNG, in their order on the page. Throws an error with a readable message on failure. */
export async function picture(head: readonly string[], charts: Iterable<VisibleChart>): Promise<Blob> {
  const visible = [...charts].sort((a, b) => (a.canvas.compareDocumentPosition(b.canvas) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
  if (visible.length === 0) throw new Error("there is no chart to draw yet");
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("this browser has no canvas to draw on");
  const measure: Measure = (text, font) => {
    context.font = font;
    return context.measureText(text).width;
  };
  for (const chart of visible) chart.draw();
  const sizes = visible.map((chart) => ({ label: title(chart.label), width: chart.canvas.clientWidth, height: chart.canvas.clientHeight, legend: chart.legend() }));
  const plan = layOut(head, sizes, measure);
  canvas.width = Math.round(plan.width * devicePixelRatio);
  canvas.height = Math.round(plan.height * devicePixelRatio);
  context.scale(devicePixelRatio, devicePixelRatio);
  paint(context, plan, visible.map((chart) => chart.canvas));
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) throw new Error("the browser could not create a picture of this size");
  return blob;
}

function paint(context: CanvasRenderingContext2D, plan: Layout, canvases: readonly HTMLCanvasElement[]): void {
  const colours = theme();
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, plan.width, plan.height);
  plan.charts.forEach(({ x, y }, i) => {
    const chart = canvases[i];
    if (chart !== undefined) context.drawImage(chart, x, y, chart.clientWidth, chart.clientHeight);
  });
  for (const { x, y, colour, dash } of plan.swatches) {
    context.fillStyle = context.strokeStyle = colour || colours.text;
    if (dash.length === 0) {
      context.fillRect(x, y, SWATCH_SIZE, SWATCH_SIZE);
      continue;
    }
    context.setLineDash([...dash]);
    context.lineWidth = 2.5;
    context.beginPath();
    context.moveTo(x, y + SWATCH_SIZE / 2);
    context.lineTo(x + SWATCH_SIZE, y + SWATCH_SIZE / 2);
    context.stroke();
  }
  context.textBaseline = "middle";
  for (const { text, x, y, font, ink } of plan.texts) {
    context.font = font;
    context.fillStyle = colours[ink];
    context.fillText(text, x, y);
  }
}

const title = (label: string): string => label.slice(0, 1).toUpperCase() + label.slice(1);
