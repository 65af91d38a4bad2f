// A tree of directories with sums, from a table that is grouped by directory.

import type { FileInfo, GroupRow } from "./api/types";
import { NO_DIRECTORY } from "./rows";

export const SUMMED = ["bytes_in", "bytes_out", "ops_in", "ops_out", "opens", "mapped_pages", "waited_ns"] as const;
export type DirectorySums = Record<(typeof SUMMED)[number], number>;

export interface DirectoryNode extends DirectorySums {
  path: string;
  name: string;
  children: DirectoryNode[];
  /** The files of this directory itself are below this node. */
  hasFiles: boolean;
}

/** Directories that are fetched at most, the busiest first. */
export const MAX_DIRECTORIES = 5000;

/** What to ask for: the directories of the files that `filter` accepts. */
export const directoryQuestion = (filter: string) => ({ kind: "file", group: "directory", filter, sort: "bytes", order: "desc" as const, limit: MAX_DIRECTORIES });

/** The sums of a directory's files, as a row of a file. */
export function directoryRow(row: GroupRow): FileInfo {
  const sum = (field: keyof DirectorySums): number => row.sums[field] ?? 0;
  return { path: row.group.directory || NO_DIRECTORY, kind: "directory", processes: [], bytes_in: sum("bytes_in"), bytes_out: sum("bytes_out"), ops_in: sum("ops_in"), ops_out: sum("ops_out"), opens: sum("opens"), mapped_pages: sum("mapped_pages"), waited_ns: sum("waited_ns") };
}

/** Shown for the files of a directory that has directories, too. */
export const FILES_HERE = "(files here)";

const node = (path: string, name: string): DirectoryNode => ({ path, name, children: [], hasFiles: false, bytes_in: 0, bytes_out: 0, ops_in: 0, ops_out: 0, opens: 0, mapped_pages: 0, waited_ns: 0 });

function add(to: DirectoryNode, row: GroupRow): void {
  for (const field of SUMMED) to[field] += row.sums[field] ?? 0;
}

const bytes = (of: DirectorySums): number => of.bytes_in + of.bytes_out;

/** The roots, those with most bytes first. A chain of directories without files becomes one node. */
export function directoryTree(rows: readonly GroupRow[]): DirectoryNode[] {
  const root = node("", "");
  const index = new Map<DirectoryNode, Map<string, DirectoryNode>>();
  const child = (parent: DirectoryNode, path: string, name: string): DirectoryNode => {
    let names = index.get(parent);
    if (names === undefined) index.set(parent, (names = new Map()));
    let found = names.get(name);
    if (found === undefined) {
      found = node(path, name);
      names.set(name, found);
      parent.children.push(found);
    }
    return found;
  };
  for (const row of rows) {
    const directory = row.group.directory ?? "";
    let here = root;
    if (!directory.startsWith("/")) {
      // Pipes, sockets and the like have no directory.
      here = child(root, directory, directory === "" ? NO_DIRECTORY : directory);
      add(here, row);
    } else {
      const parts = directory.split("/").filter((part) => part !== "");
      if (parts.length === 0) {
        here = child(root, "/", "/");
        add(here, row);
      }
      let path = "";
      for (const part of parts) {
        path += `/${part}`;
        here = child(here, path, here === root ? `/${part}` : part);
        add(here, row);
      }
    }
    here.hasFiles = true;
    const own = child(here, here.path, FILES_HERE);
    own.hasFiles = true;
    add(own, row);
  }
  const collapse = (of: DirectoryNode): DirectoryNode => {
    let here = of;
    let name = of.name;
    while (!here.hasFiles && here.children.length === 1 && here.children[0] !== undefined) {
      here = here.children[0];
      name += `/${here.name}`;
    }
    const only = here.children.length === 1 && here.children[0]?.name === FILES_HERE;
    const children = only || here.name === FILES_HERE ? [] : here.children.map(collapse).sort((a, b) => bytes(b) - bytes(a) || a.name.localeCompare(b.name));
    return { ...here, name, children };
  };
  return root.children.map(collapse).sort((a, b) => bytes(b) - bytes(a) || a.name.localeCompare(b.name));
}
