// One uPlot chart on the page's time axis: what all charts have in common, which
// is the cursor, zooming by dragging, picking an instant, and how gaps look.

import uPlot from "uplot";
import type { RangeInfo } from "../api/types";
import { gaps } from "../slots";
import { axisTimes } from "../units";
import { hatch, theme, type Theme } from "./theme";

/** What changes from one drawing to the next. */
export interface Frame {
  range: RangeInfo;
  covered: readonly number[];
  /** The part of the time axis that is shown. */
  shown: readonly [number, number];
  /** Outside of this the container did not live: no gap, but nothing. */
  lived: readonly [number, number];
  /** The instant of the tables. */
  at: number | null;
  /** Moments to mark: out-of-memory kills and the like. */
  marks: readonly { at: number; kind: string }[];
  utc: boolean;
}

export interface Handlers {
  onHover(at: number | null): void;
  onPick(at: number): void;
  onZoom(from: number, to: number): void;
}

export interface Look {
  height: number;
  /** Width of the value axis. */
  axis: number;
  series: uPlot.Series[];
  scale: uPlot.Scale;
  /** Values and labels of the value axis. */
  valueAxis: uPlot.Axis;
  draw?: (u: uPlot, frame: Frame, colours: Theme) => void;
}

const SYNC = uPlot.sync("time");
/** A drag of fewer pixels is a click. */
const CLICK = 4;

export class Chart {
  private readonly plot: uPlot;
  private readonly colours: Theme = theme();
  private pressed = -1;

  constructor(
    target: HTMLElement,
    width: number,
    look: Look,
    private frame: Frame,
    private readonly handlers: Handlers,
    data: uPlot.AlignedData,
  ) {
    const axis = { stroke: this.colours.muted, grid: { stroke: this.colours.grid, width: 1 }, ticks: { show: false } };
    const font = "11px system-ui, sans-serif";
    this.plot = new uPlot(
      {
        width,
        height: look.height,
        padding: [8, 28, 0, 0],
        legend: { show: false },
        // The grid is drawn over the areas, which would hide it.
        drawOrder: ["series", "axes"] as uPlot.DrawOrderKey[],
        scales: { x: { time: true, auto: false, range: () => [this.frame.shown[0], this.frame.shown[1]] }, y: look.scale },
        axes: [
          { ...axis, font, size: 30, gap: 8, space: 64, values: (_u, ticks) => axisTimes(ticks, this.frame.utc) },
          { ...axis, font, size: look.axis, gap: 6, space: 28, ...look.valueAxis },
        ],
        series: [{}, ...look.series],
        cursor: {
          y: false,
          points: { show: false },
          drag: { x: true, y: false, setScale: false },
          sync: { key: SYNC.key, setSeries: false, scales: ["x", null] },
        },
        hooks: {
          drawClear: [(u) => this.drawGaps(u)],
          draw: [
            (u) => {
              look.draw?.(u, this.frame, this.colours);
              this.drawMarks(u);
            },
          ],
          setCursor: [(u) => this.hovered(u)],
          setSelect: [(u) => this.selected(u)],
        },
        tzDate: (at) => (this.frame.utc ? uPlot.tzDate(new Date(at * 1000), "Etc/UTC") : new Date(at * 1000)),
      },
      data,
      target,
    );
    this.plot.over.addEventListener("pointerdown", (event) => (this.pressed = event.clientX));
    this.plot.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - this.pressed) >= CLICK) return;
      const left = event.clientX - this.plot.over.getBoundingClientRect().left;
      this.handlers.onPick(this.plot.posToVal(left, "x"));
    });
  }

  update(frame: Frame, data: uPlot.AlignedData): void {
    this.frame = frame;
    this.plot.batch(() => {
      this.plot.setData(data, false);
      this.plot.setScale("x", { min: frame.shown[0], max: frame.shown[1] });
    });
  }

  resize(width: number, height: number): void {
    if (width !== this.plot.width || height !== this.plot.height) this.plot.setSize({ width, height });
  }

  destroy(): void {
    this.plot.destroy();
  }

  get canvas(): HTMLCanvasElement {
    return this.plot.ctx.canvas;
  }

  private hovered(u: uPlot): void {
    // Charts that only follow another's cursor have nothing to say.
    if (!u.cursor.event) return;
    const left = u.cursor.left ?? -1;
    this.handlers.onHover(left < 0 ? null : u.posToVal(left, "x"));
  }

  private selected(u: uPlot): void {
    const { left, width } = u.select;
    if (width < CLICK || !u.cursor.event) return;
    const from = u.posToVal(left, "x");
    const to = u.posToVal(left + width, "x");
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.handlers.onZoom(from, to);
  }

  /** Hatches what is not known, and greys what lies before the start and behind the end. */
  private drawGaps(u: uPlot): void {
    const { range, covered, lived } = this.frame;
    const { ctx, bbox } = u;
    const fill = (from: number, to: number, style: CanvasPattern | string): void => {
      const left = Math.max(bbox.left, u.valToPos(from, "x", true));
      const right = Math.min(bbox.left + bbox.width, u.valToPos(to, "x", true));
      if (right <= left) return;
      ctx.fillStyle = style;
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    };
    ctx.save();
    const pattern = hatch(ctx, this.colours.hatch);
    for (const [from, to] of gaps(range, covered)) {
      fill(Math.max(from, lived[0]), Math.min(to, lived[1]), pattern);
    }
    // Slots that are known in part: a low strip says so.
    covered.forEach((share, i) => {
      if (share <= 0 || share >= 0.98) return;
      const left = u.valToPos(range.from + i * range.step, "x", true);
      const right = u.valToPos(range.from + (i + 1) * range.step, "x", true);
      if (right <= bbox.left || left >= bbox.left + bbox.width) return;
      ctx.fillStyle = pattern;
      ctx.fillRect(left, bbox.top, right - left, bbox.height * (1 - share));
    });
    ctx.restore();
  }

  private drawMarks(u: uPlot): void {
    const { ctx, bbox } = u;
    const line = (at: number, colour: string, dash: number[], width: number, tall = bbox.height): void => {
      const x = Math.round(u.valToPos(at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) return;
      ctx.strokeStyle = colour;
      ctx.lineWidth = width * devicePixelRatio;
      ctx.setLineDash(dash.map((part) => part * devicePixelRatio));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + tall);
      ctx.stroke();
    };
    ctx.save();
    for (const mark of this.frame.marks) {
      // What can happen every second is a tick; the rare is a line.
      if (mark.kind === "connection_failed") line(mark.at, this.colours.warn, [], 2, 6 * devicePixelRatio);
      else line(mark.at, mark.kind === "oom_kill" ? this.colours.bad : this.colours.muted, [3, 3], 1);
    }
    if (this.frame.at !== null) line(this.frame.at + this.frame.range.step / 2, this.colours.at, [], 2);
    ctx.restore();
  }
}

/** `values` with the last once more: a step is drawn up to the end of its slot. */
export function stepped(values: readonly (number | null)[]): (number | null)[] {
  return [...values, values[values.length - 1] ?? null];
}

const steps = uPlot.paths.stepped?.({ align: 1 });

/** How every series is drawn: as steps, for a slot is a span and not a point. */
export function stepSeries(stroke: string, options: Partial<uPlot.Series> = {}): uPlot.Series {
  return {
    stroke,
    width: 1,
    points: { show: false },
    ...(steps === undefined ? {} : { paths: steps }),
    ...options,
  };
}
