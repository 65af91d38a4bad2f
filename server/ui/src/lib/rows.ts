// Rows of tables, as the server groups, sorts and cuts them.

import type { ConnectionInfo, FileInfo, GroupRow, PeerInfo, RowSums } from "./api/types";

/** A word of a filter that only accepts `text` in `column`, case included. */
export function exactly(column: string, text: string): string {
  return `${column}:=="${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** Sums of `fields` over rows that are known in full. */
export function localSums<Row>(rows: readonly Row[], fields: readonly (keyof Row & string)[]): RowSums {
  const sums: Record<string, number> = {};
  for (const field of fields) sums[field] = rows.reduce((sum, row) => sum + Number(row[field]), 0);
  return { rows: rows.length, sums };
}

const sum = (row: GroupRow, name: string): number => row.sums[name] ?? 0;

/** A file of all processes, from a table that is grouped by `path,kind`. */
export function fileOf(row: GroupRow): FileInfo & { names: string[] } {
  return {
    path: row.group.path ?? "",
    kind: row.group.kind ?? "",
    bytes_in: sum(row, "bytes_in"),
    bytes_out: sum(row, "bytes_out"),
    ops_in: sum(row, "ops_in"),
    ops_out: sum(row, "ops_out"),
    opens: sum(row, "opens"),
    mapped_pages: sum(row, "mapped_pages"),
    waited_ns: sum(row, "waited_ns"),
    processes: [],
    names: row.names ?? [],
  };
}

/** A peer, from a table that is grouped by `protocol,role,remote,port`. */
export function peerOf(row: GroupRow): PeerInfo {
  return {
    protocol: row.group.protocol ?? "",
    role: row.group.role ?? "",
    remote: row.group.remote ?? "",
    port: row.group.port ? Number(row.group.port) : null,
    connections: row.rows,
    bytes_in: sum(row, "bytes_in"),
    bytes_out: sum(row, "bytes_out"),
    ops_in: sum(row, "ops_in"),
    ops_out: sum(row, "ops_out"),
    connects: sum(row, "connects"),
    failures: sum(row, "failures"),
    waited_ns: sum(row, "waited_ns"),
  };
}

/** A connection of all processes, from a table that is grouped by its columns. */
export function connectionOf(row: GroupRow): ConnectionInfo & { names: string[] } {
  return { ...peerOf(row), local: row.group.local ?? "", peer: row.group.peer ?? "", processes: [], names: row.names ?? [] };
}

/** `nginx, php and 3 more`. */
export function namesText(names: readonly string[], max = 2): string {
  const more = names.length - max;
  return more > 0 ? `${names.slice(0, max).join(", ")} and ${more} more` : names.join(", ");
}

/** Name of the bar and the row of files without a directory, such as pipes. */
export const NO_DIRECTORY = "(no directory)";

/** A word of a filter that only accepts what a bar of the icicle stands for: a file, or a directory and all below. */
export const placeWord = (path: string, isFile: boolean): string =>
  isFile ? exactly("path", path) : path === NO_DIRECTORY ? exactly("directory", "") : below("path", path);

/** A word of a filter that only accepts what is in the directory `path` or below. */
export function below(column: string, path: string): string {
  return `${column}:"${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}/"*`;
}
