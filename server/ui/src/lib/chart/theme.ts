// Colours for canvases, which style sheets do not reach. Read from the page's custom
// properties, again after each switch between light and dark.

export interface Theme {
  text: string;
  muted: string;
  grid: string;
  ground: string;
  hatch: string;
  at: string;
  bad: string;
  warn: string;
  accent: string;
  other: string;
  heat: string[];
}

export function theme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(name).trim();
  return {
    text: read("--text"),
    muted: read("--muted"),
    grid: read("--grid"),
    ground: read("--panel"),
    hatch: read("--hatch"),
    at: read("--at"),
    bad: read("--bad"),
    warn: read("--warn"),
    accent: read("--accent"),
    other: read("--other"),
    heat: ["--heat-0", "--heat-1", "--heat-2", "--heat-3"].map(read),
  };
}

/** Calls `changed` after each switch between light and dark. Returns a function that stops it. */
export function onThemeChange(changed: () => void): () => void {
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}

/** Diagonal lines, to fill gaps. */
export function hatch(context: CanvasRenderingContext2D, colour: string): CanvasPattern | string {
  const size = 8 * devicePixelRatio;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  if (pen === null) return colour;
  pen.strokeStyle = colour;
  pen.lineWidth = devicePixelRatio * 1.25;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat") ?? colour;
}

/** Interpolates `count` colours between `stops`, which are `#rrggbb`. */
export function ramp(stops: readonly string[], count: number): string[] {
  const rgb = stops.map((stop) => [1, 3, 5].map((i) => parseInt(stop.slice(i, i + 2), 16)));
  return Array.from({ length: count }, (_, i) => {
    const position = (i / Math.max(1, count - 1)) * (rgb.length - 1);
    const low = Math.min(Math.floor(position), rgb.length - 2);
    const mixed = [0, 1, 2].map((c) => {
      const a = rgb[low]?.[c] ?? 0;
      const b = rgb[low + 1]?.[c] ?? 0;
      return Math.round(a + (b - a) * (position - low));
    });
    return `rgb(${mixed.join(",")})`;
  });
}
