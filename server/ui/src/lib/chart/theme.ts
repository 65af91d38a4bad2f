// Colours for canvases, which know no style sheet: read from the page's custom
// properties, and read again when the person switches between light and dark.

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

/** Calls `changed` when light becomes dark or the other way; returns how to stop. */
export function onThemeChange(changed: () => void): () => void {
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}

/** Diagonal lines: what stands where nothing is known. */
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

/** `count` colours from the first of `stops` to the last. All are `#rrggbb`. */
export function ramp(stops: readonly string[], count: number): string[] {
  const rgb = stops.map((stop) => [1, 3, 5].map((i) => parseInt(stop.slice(i, i + 2), 16)));
  return Array.from({ length: count }, (_, i) => {
    const place = (i / Math.max(1, count - 1)) * (rgb.length - 1);
    const low = Math.min(Math.floor(place), rgb.length - 2);
    const mixed = [0, 1, 2].map((c) => {
      const a = rgb[low]?.[c] ?? 0;
      const b = rgb[low + 1]?.[c] ?? 0;
      return Math.round(a + (b - a) * (place - low));
    });
    return `rgb(${mixed.join(",")})`;
  });
}
