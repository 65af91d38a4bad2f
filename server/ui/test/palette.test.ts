import { expect, test } from "vitest";
import { hash, OTHER, OTHER_COLOUR, Palette } from "../src/lib/palette";

test("a name has the same colour on every page", () => {
  // The published value of FNV-1a. Another one would change every colour.
  expect(hash("foobar")).toBe(0xbf9cf968);
  const [one, other] = [new Palette(), new Palette()];
  for (const name of ["java", "nginx"]) expect(one.colour(name)).toBe(other.colour(name));
});

test("names that collide get different colours, and keep them", () => {
  const palette = new Palette();
  const names = Array.from({ length: 12 }, (_, i) => `process-${i}`);
  const colours = names.map((name) => palette.colour(name));
  expect(new Set(colours).size).toBe(12);
  expect(names.map((name) => palette.colour(name))).toEqual(colours);
});

test("folded rows have their own colour", () => {
  expect(new Palette().colour(OTHER)).toBe(OTHER_COLOUR);
});
