// Columns and sorting, shared by all tables.

export interface Column<R> {
  key: string;
  label: string;
  numeric: boolean;
  /** Value to sort by. */
  value: (row: R) => string | number;
  text: (row: R) => string;
  title?: (row: R) => string;
  /** Why the text is unknown, if it is. */
  why?: (row: R) => string;
  /** Hidden on narrow screens. */
  wide?: boolean;
  /** Column of the server's table. Without it the table cannot be sorted by this column. */
  server?: string;
  /** Text of the row that sums up what is not shown. */
  rest?: (sums: Record<string, number | null>) => string;
  /** Other pages about it, which follow the text. */
  links?: (row: R) => readonly Link[];
  /** The text is a path: a narrow cell cuts its middle. */
  isPath?: boolean;
  /** Characters at the end of a path that stay visible. */
  tail?: number;
}

/** A column's head. */
export type Head = Pick<Column<never>, "key" | "label" | "numeric" | "wide"> & {
  /** The table cannot be sorted by this column. */
  isFixed?: boolean;
};

/** The heads of `columns`. The server sorts, so a column that it lacks cannot be clicked. */
export const heads = <R>(columns: readonly Column<R>[]): Head[] =>
  columns.map(({ key, label, numeric, wide, server }) => ({ key, label, numeric, ...(wide === undefined ? {} : { wide }), isFixed: server === undefined }));

export interface Link {
  href: string;
  text: string;
  title: string;
  /** Instead of opening another page. */
  follow?: () => void;
}

/** Follows a link within the page. Clicks for another tab are the browser's. */
export function clickLink(event: MouseEvent, { follow }: Link): void {
  if (follow === undefined || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  follow();
}

export interface Order {
  key: string;
  down: boolean;
}

/** The order after a click on the head of `key`. Numbers start with the highest. */
export function clicked(order: Order, key: string, numeric: boolean): Order {
  return order.key === key ? { key, down: !order.down } : { key, down: numeric };
}

export function compare(a: string | number, b: string | number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

export const ariaSort = (order: Order, key: string): "ascending" | "descending" | "none" =>
  order.key !== key ? "none" : order.down ? "descending" : "ascending";
