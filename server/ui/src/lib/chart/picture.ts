// The charts that are seen, on one canvas, to be taken along as a PNG.
//
// Names come from strangers: they are only ever drawn, as text that is cut to
// the width it has.

import { theme } from "./theme";

/** What a legend says of one line. */
export interface Entry {
  colour: string;
  label: string;
  value: string;
  dash: readonly number[];
}

/** A chart as it is on the page. */
export interface Drawn {
  label: string;
  canvas: HTMLCanvasElement;
  legend(): Entry[];
}

interface Size {
  label: string;
  width: number;
  height: number;
  legend: Entry[];
}

type Ink = "text" | "muted";
type Measure = (text: string, font: string) => number;

/** Where everything goes, in CSS pixels. */
export interface Sheet {
  width: number;
  height: number;
  texts: { text: string; x: number; y: number; font: string; ink: Ink }[];
  swatches: { x: number; y: number; colour: string; dash: readonly number[] }[];
  /** Left upper corners of the charts. */
  charts: { x: number; y: number }[];
}

const FAMILY = "system-ui, sans-serif";
const NAME = `650 17px ${FAMILY}`;
const TITLE = `650 13px ${FAMILY}`;
const PLAIN = `12px ${FAMILY}`;
const VALUE = `600 12px ${FAMILY}`;
const EDGE = 16;
const LINE = 18;
const SWATCH = 10;
const GAP = 5;
/** Between two entries of a legend. */
const APART = 14;
/** A longer label is cut. */
const LABEL = 220;
/** No width has room for more characters: what is longer is cut before it is measured. */
const CHARACTERS = 500;

/** `text`, or as much of its start as fits into `width`, with an ellipsis. */
export function cut(text: string, width: number, measure: (text: string) => number): string {
  // By code points, so that none is cut in two.
  const letters = Array.from(text.slice(0, CHARACTERS));
  if (text.length <= CHARACTERS && measure(text) <= width) return text;
  let fits = 0;
  let over = letters.length + 1;
  while (over - fits > 1) {
    const middle = Math.floor((fits + over) / 2);
    if (measure(`${letters.slice(0, middle).join("")}…`) <= width) fits = middle;
    else over = middle;
  }
  return fits === 0 ? "" : `${letters.slice(0, fits).join("")}…`;
}

/** The head's lines, the first of which is a name, and below them chart after chart. */
export function sheet(head: readonly string[], charts: readonly Size[], measure: Measure): Sheet {
  const inner = Math.max(...charts.map((chart) => chart.width));
  const made: Sheet = { width: inner + 2 * EDGE, height: 0, texts: [], swatches: [], charts: [] };
  let y = EDGE;
  const put = (text: string, x: number, font: string, ink: Ink, most = inner): number => {
    const shown = cut(text, most, (part) => measure(part, font));
    made.texts.push({ text: shown, x, y: y + LINE / 2, font, ink });
    return measure(shown, font);
  };
  head.forEach((line, i) => {
    put(line, EDGE, i === 0 ? NAME : PLAIN, i === 0 ? "text" : "muted");
    y += i === 0 ? 24 : LINE;
  });
  for (const chart of charts) {
    y += APART;
    put(chart.label, EDGE, TITLE, "text");
    y += LINE + 2;
    made.charts.push({ x: EDGE, y });
    y += chart.height;
    let x = EDGE;
    for (const entry of chart.legend) {
      const most = Math.min(LABEL, inner - SWATCH - GAP);
      const label = cut(entry.label, most, (part) => measure(part, PLAIN));
      const wide = SWATCH + GAP + measure(label, PLAIN) + GAP + measure(entry.value, VALUE);
      if (x > EDGE && x + wide > EDGE + inner) {
        x = EDGE;
        y += LINE;
      }
      made.swatches.push({ x, y: y + (LINE - SWATCH) / 2, colour: entry.colour, dash: entry.dash });
      x += SWATCH + GAP;
      x += put(label, x, PLAIN, "muted") + GAP;
      x += put(entry.value, x, VALUE, "text", EDGE + inner - x) + APART;
    }
    if (chart.legend.length > 0) y += LINE;
  }
  made.height = Math.ceil(y + EDGE);
  return made;
}

/** A PNG of `charts` in the order in which they are on the page; throws a sentence when there can be none. */
export async function picture(head: readonly string[], charts: Iterable<Drawn>): Promise<Blob> {
  const seen = [...charts].sort((a, b) => (a.canvas.compareDocumentPosition(b.canvas) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
  if (seen.length === 0) throw new Error("there is no chart to draw yet");
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  if (pen === null) throw new Error("this browser gives no canvas to draw on");
  const measure: Measure = (text, font) => {
    pen.font = font;
    return pen.measureText(text).width;
  };
  const sizes = seen.map((chart) => ({ label: title(chart.label), width: chart.canvas.clientWidth, height: chart.canvas.clientHeight, legend: chart.legend() }));
  const plan = sheet(head, sizes, measure);
  canvas.width = Math.round(plan.width * devicePixelRatio);
  canvas.height = Math.round(plan.height * devicePixelRatio);
  pen.scale(devicePixelRatio, devicePixelRatio);
  paint(pen, plan, seen.map((chart) => chart.canvas));
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) throw new Error("the browser could not make a picture of this size");
  return blob;
}

function paint(pen: CanvasRenderingContext2D, plan: Sheet, canvases: readonly HTMLCanvasElement[]): void {
  const colours = theme();
  pen.fillStyle = colours.ground;
  pen.fillRect(0, 0, plan.width, plan.height);
  plan.charts.forEach(({ x, y }, i) => {
    const chart = canvases[i];
    if (chart !== undefined) pen.drawImage(chart, x, y, chart.clientWidth, chart.clientHeight);
  });
  for (const { x, y, colour, dash } of plan.swatches) {
    pen.fillStyle = pen.strokeStyle = colour || colours.text;
    if (dash.length === 0) {
      pen.fillRect(x, y, SWATCH, SWATCH);
      continue;
    }
    pen.setLineDash([...dash]);
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.moveTo(x, y + SWATCH / 2);
    pen.lineTo(x + SWATCH, y + SWATCH / 2);
    pen.stroke();
  }
  pen.textBaseline = "middle";
  for (const { text, x, y, font, ink } of plan.texts) {
    pen.font = font;
    pen.fillStyle = colours[ink];
    pen.fillText(text, x, y);
  }
}

const title = (label: string): string => label.slice(0, 1).toUpperCase() + label.slice(1);
