// One uPlot chart on the page's time axis. All charts share the cursor, zooming by
// dragging, picking an instant, and the drawing of gaps.

import uPlot from "uplot";
import type { RangeInfo } from "../api/types";
import { gaps } from "../slots";
import { axisTimes } from "../units";
import { hatch, theme, type Theme } from "./theme";

/** What changes from one drawing to the next. */
export interface Frame {
  range: RangeInfo;
  covered: readonly number[];
  /** The part of each slot that was observed in part. */
  partial: readonly number[];
  /** The visible part of the time axis. */
  shown: readonly [number, number];
  /** The life of the container. Outside of it there is no gap, but nothing at all. */
  lived: readonly [number, number];
  /** The instant that the tables show. */
  at: number | null;
  /** Events to mark, such as out-of-memory kills. */
  marks: readonly { at: number; kind: string }[];
  utc: boolean;
}

export interface Handlers {
  onHover(at: number | null): void;
  onPick(at: number): void;
  onZoom(from: number, to: number): void;
  /** Makes the range `factor` times as long; `at` stays in place. */
  onScale(at: number, factor: number): void;
}

export interface ChartOptions {
  height: number;
  /** Width of the value axis. */
  axis: number;
  series: uPlot.Series[];
  scale: uPlot.Scale;
  /** Values and labels of the value axis. */
  valueAxis: uPlot.Axis;
  /** There is a series of shares of time, with an axis on the right. */
  hasShare: boolean;
  draw?: (u: uPlot, frame: Frame, colours: Theme) => void;
}

/** Scale of shares of time. */
export const SHARE = "share";

const SYNC = uPlot.sync("time");
/** A drag of fewer pixels counts as a click. */
const MIN_DRAG = 4;

/** A double click makes the range so many times as long. */
const OUT = 3;

/** How much longer the range becomes by a turn of the wheel. */
export function wheelFactor(event: WheelEvent): number {
  // With Shift some browsers report the turn as horizontal.
  const turn = event.deltaY || event.deltaX;
  const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? turn : turn * 40;
  return 1.3 ** Math.max(-3, Math.min(3, pixels / 100));
}

export class Chart {
  private readonly plot: uPlot;
  private readonly colours: Theme = theme();
  private pressed = -1;

  constructor(
    target: HTMLElement,
    width: number,
    options: ChartOptions,
    private frame: Frame,
    private readonly handlers: Handlers,
    data: uPlot.AlignedData,
  ) {
    const axis = { stroke: this.colours.muted, grid: { stroke: this.colours.grid, width: 1 }, ticks: { show: false } };
    const font = "11px system-ui, sans-serif";
    this.plot = new uPlot(
      {
        width,
        height: options.height,
        padding: [8, options.hasShare ? 0 : 30, 0, 0],
        legend: { show: false },
        scales: { x: { time: true, auto: false, range: () => [this.frame.shown[0], this.frame.shown[1]] }, y: options.scale, [SHARE]: { range: [0, 100] } },
        axes: [
          { ...axis, font, size: 30, gap: 8, space: 64, values: (_u, ticks) => axisTimes(ticks, this.frame.utc) },
          { ...axis, font, size: options.axis, gap: 6, space: 28, ...options.valueAxis },
          ...(options.hasShare ? [{ ...axis, font, scale: SHARE, side: 1 as const, size: 30, gap: 2, space: 40, grid: { show: false }, values: (_u: uPlot, ticks: number[]) => ticks.map((tick) => `${tick}%`) }] : []),
        ],
        series: [{}, ...options.series],
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
              options.draw?.(u, this.frame, this.colours);
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
      if (Math.abs(event.clientX - this.pressed) >= MIN_DRAG) return;
      const left = event.clientX - this.plot.over.getBoundingClientRect().left;
      this.handlers.onPick(this.plot.posToVal(left, "x"));
    });
    this.plot.over.addEventListener("dblclick", (event) => this.handlers.onScale(this.timeAt(event), OUT));
    this.plot.over.addEventListener(
      "wheel",
      (event) => {
        // A pinch is a wheel with the Control key. Without a key the page scrolls.
        if (!event.shiftKey && !event.ctrlKey) return;
        event.preventDefault();
        this.handlers.onScale(this.timeAt(event), wheelFactor(event));
      },
      { passive: false },
    );
  }

  /** Draws before it returns. */
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

  private timeAt(event: MouseEvent): number {
    return this.plot.posToVal(event.clientX - this.plot.over.getBoundingClientRect().left, "x");
  }

  get canvas(): HTMLCanvasElement {
    return this.plot.ctx.canvas;
  }

  private hovered(u: uPlot): void {
    // Ignore charts that only follow the cursor of another one.
    if (!u.cursor.event) return;
    const left = u.cursor.left ?? -1;
    this.handlers.onHover(left < 0 ? null : u.posToVal(left, "x"));
  }

  private selected(u: uPlot): void {
    const { left, width } = u.select;
    const from = u.posToVal(left, "x");
    const to = u.posToVal(left + width, "x");
    // The charts that follow this one drew the brush, too.
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (width < MIN_DRAG || !u.cursor.event) return;
    this.handlers.onZoom(from, to);
  }

  /** Hatches gaps within the container's life. */
  private drawGaps(u: uPlot): void {
    const { range, covered, partial, lived } = this.frame;
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
    // A slot with partial coverage gets a strip of matching height. Of seconds that were observed in
    // part, half is taken as known.
    covered.forEach((all, i) => {
      const share = all - (partial[i] ?? 0) / 2;
      if (all <= 0 || share >= 0.98) return;
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
      // Frequent events are ticks, rare ones are lines.
      if (mark.kind === "connection_failed") line(mark.at, this.colours.warn, [], 2, 6 * devicePixelRatio);
      else line(mark.at, mark.kind === "oom_kill" ? this.colours.bad : this.colours.muted, [3, 3], 1);
    }
    if (this.frame.at !== null) line(this.frame.at + this.frame.range.step / 2, this.colours.at, [], 2);
    ctx.restore();
  }
}

/** Repeats the last value, as a step is drawn up to the end of its slot. */
export function stepped(values: readonly (number | null)[]): (number | null)[] {
  return [...values, values[values.length - 1] ?? null];
}

const steps = uPlot.paths.stepped?.({ align: 1 });

/** Style of every series: steps, as a slot is a span and not a point. */
export function stepSeries(stroke: string, options: Partial<uPlot.Series> = {}): uPlot.Series {
  return {
    stroke,
    width: 1,
    points: { show: false },
    ...(steps === undefined ? {} : { paths: steps }),
    ...options,
  };
}
