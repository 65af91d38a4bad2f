// Paths, put together by directory for the icicle.

import type { FileInfo } from "../lib/api/types";

const SYSTEM = ["/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/etc/", "/proc/", "/sys/", "/dev/", "/run/"];

/** Of the system rather than of the work: libraries, settings, devices. */
export function isSystemPath(path: string): boolean {
  return SYSTEM.some((prefix) => path.startsWith(prefix) || path === prefix.slice(0, -1));
}

export interface Directory {
  path: string;
  name: string;
  bytes: number;
  children: Directory[];
}

/** Directories and files by bytes, `levels` deep; a chain of directories with one entry is one. */
export function directories(rows: readonly FileInfo[], levels: number): Directory {
  const root: Directory = { path: "", name: "/", bytes: 0, children: [] };
  for (const row of rows) {
    const bytes = row.bytes_in + row.bytes_out;
    if (bytes === 0) continue;
    root.bytes += bytes;
    if (!row.path.startsWith("/")) {
      child(root, row.path, row.path).bytes += bytes;
      continue;
    }
    let here = root;
    for (const name of row.path.split("/").filter((part) => part !== "")) {
      here = child(here, `${here.path}/${name}`, name);
      here.bytes += bytes;
    }
  }
  return shorten(root, levels);
}

function child(parent: Directory, path: string, name: string): Directory {
  let known = parent.children.find((each) => each.path === path);
  if (known === undefined) {
    known = { path, name, bytes: 0, children: [] };
    parent.children.push(known);
  }
  return known;
}

function shorten(directory: Directory, levels: number): Directory {
  let here = directory;
  let name = here.name;
  while (here.path !== "" && here.children.length === 1 && here.children[0]?.bytes === here.bytes) {
    here = here.children[0];
    name += `/${here.name}`;
  }
  const children = levels === 0 ? [] : here.children.map((each) => shorten(each, levels - 1));
  return { ...here, name, children: children.sort((a, b) => b.bytes - a.bytes) };
}
