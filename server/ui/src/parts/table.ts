// Sorting of tables, the same for all of them.

export interface Column<R> {
  key: string;
  label: string;
  numeric: boolean;
  /** What the column is sorted by. */
  value: (row: R) => string | number;
  text: (row: R) => string;
  title?: (row: R) => string;
  /** Left out on narrow screens. */
  wide?: boolean;
}

export interface Order {
  key: string;
  down: boolean;
}

/** The order after a click on the head of `key`: numbers begin with the highest. */
export function clicked(order: Order, key: string, numeric: boolean): Order {
  return order.key === key ? { key, down: !order.down } : { key, down: numeric };
}

export function compare(a: string | number, b: string | number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

export const ariaSort = (order: Order, key: string): "ascending" | "descending" | "none" =>
  order.key !== key ? "none" : order.down ? "descending" : "ascending";
