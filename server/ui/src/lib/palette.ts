// Colours that people with any colour vision can tell apart (Okabe and Ito's,
// then Tol's muted ones), and that hold on a light and on a dark ground.

const COLOURS = [
  "#0072b2",
  "#e69f00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#d55e00",
  "#7b68c8",
  "#b8a900",
  "#44aa99",
  "#aa4466",
  "#88705a",
  "#6699cc",
] as const;

/** For what is folded, or belongs to no process. */
export const OTHER_COLOUR = "#8a8f98";

/** The name of the row into which what exceeds a table's cap is folded. */
export const OTHER = "(other)";

/** FNV-1a: the same for a name on every page and in every browser. */
export function hash(name: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    value ^= name.charCodeAt(i);
    value = Math.imul(value, 0x01000193);
  }
  return value >>> 0;
}

/**
 * Colours by name. A name begins at the place that its hash gives, and takes
 * the next free one, so that colours are the same from page to page as long as
 * few names meet, and never change while a page is open.
 */
export class Palette {
  private readonly taken = new Map<string, number>();
  private readonly uses = COLOURS.map(() => 0);

  colour(name: string): string {
    if (name === OTHER) return OTHER_COLOUR;
    let place = this.taken.get(name);
    if (place === undefined) {
      place = this.place(hash(name) % COLOURS.length);
      this.taken.set(name, place);
      this.uses[place] = (this.uses[place] ?? 0) + 1;
    }
    return COLOURS[place] ?? OTHER_COLOUR;
  }

  /** From `start` on the first of the least used places. */
  private place(start: number): number {
    const least = Math.min(...this.uses);
    for (let i = 0; i < COLOURS.length; i++) {
      const place = (start + i) % COLOURS.length;
      if (this.uses[place] === least) return place;
    }
    return start;
  }
}

/** The page's one palette. */
export const palette = new Palette();
