import { expect, test } from "vitest";
import { keepPlaces } from "../src/lib/places";

test("rows keep their places, new ones come last, and those that are gone leave", () => {
  const row = (id: string, cpu = 0) => ({ id, cpu });
  expect(keepPlaces([row("a"), row("b"), row("c")], [row("d", 9), row("c", 5), row("a", 1)], (item) => item.id)).toEqual([row("a", 1), row("c", 5), row("d", 9)]);
});
