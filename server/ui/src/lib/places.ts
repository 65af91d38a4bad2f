// Rows that are refreshed while the pointer is on them.

/** The fresh items in the places of the old ones; new items come last. */
export function keepPlaces<Item>(old: readonly Item[], fresh: readonly Item[], id: (item: Item) => string): Item[] {
  const left = new Map(fresh.map((item) => [id(item), item]));
  const kept: Item[] = [];
  for (const place of old.map(id)) {
    const item = left.get(place);
    if (item === undefined) continue;
    kept.push(item);
    left.delete(place);
  }
  return [...kept, ...left.values()];
}
