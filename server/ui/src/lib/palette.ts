// Colours that are distinguishable with any kind of colour vision (Okabe and Ito's,
// then Tol's muted ones), on a light and on a dark background.

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

/** Colour of folded rows, and of what belongs to no process. */
export const OTHER_COLOUR = "#8a8f98";

/** Name of the row that rows beyond a table's cap are folded into. */
export const OTHER = "(other)";

/** Colour of a core. With more cores than colours they repeat. */
export const coreColour = (core: number): string => COLOURS[core % COLOURS.length] ?? OTHER_COLOUR;

/** Number of cores with a colour of their own. */
export const CORE_COLOURS = COLOURS.length;

/** FNV-1a: a name has the same hash on every page and in every browser. */
export function hash(name: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    value ^= name.charCodeAt(i);
    value = Math.imul(value, 0x01000193);
  }
  return value >>> 0;
}

/**
 * Colours by name. A name takes the first free colour from its hash on. So its
 * colour is the same from page to page as long as few names collide, and never
 * changes while a page is open.
 */
export class Palette {
  private readonly taken = new Map<string, number>();
  private readonly uses = COLOURS.map(() => 0);

  colour(name: string): string {
    if (name === OTHER) return OTHER_COLOUR;
    let index = this.taken.get(name);
    if (index === undefined) {
      index = this.leastUsed(hash(name) % COLOURS.length);
      this.taken.set(name, index);
      this.uses[index] = (this.uses[index] ?? 0) + 1;
    }
    return COLOURS[index] ?? OTHER_COLOUR;
  }

  /** The first of the least used colours, from `start` on. */
  private leastUsed(start: number): number {
    const least = Math.min(...this.uses);
    for (let i = 0; i < COLOURS.length; i++) {
      const index = (start + i) % COLOURS.length;
      if (this.uses[index] === least) return index;
    }
    return start;
  }
}

/** The palette shared by all panels of the page. */
export const palette = new Palette();
