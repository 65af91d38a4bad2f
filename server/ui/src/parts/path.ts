// Sums of files by directory, for the icicle.

import type { FileInfo } from "../lib/api/types";

const SYSTEM = ["/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/etc/", "/proc/", "/sys/", "/dev/", "/run/"];

/** Whether `path` belongs to the system: libraries, settings, devices. */
export function isSystemPath(path: string): boolean {
  return SYSTEM.some((prefix) => path.startsWith(prefix) || path === prefix.slice(0, -1));
}

/** Words of a filter that leave out the paths of the system. */
export const withoutSystem = (): string => SYSTEM.map((prefix) => `!path:${prefix}*`).join(" ");

export interface Directory {
  path: string;
  name: string;
  bytes: number;
  children: Directory[];
}

/** Directories and files by bytes, `levels` deep. A chain of directories with one entry each becomes one. */
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
  return collapse(root, levels);
}

function child(parent: Directory, path: string, name: string): Directory {
  let found = parent.children.find((each) => each.path === path);
  if (found === undefined) {
    found = { path, name, bytes: 0, children: [] };
    parent.children.push(found);
  }
  return found;
}

function collapse(directory: Directory, levels: number): Directory {
  let here = directory;
  let name = here.name;
  while (here.path !== "" && here.children.length === 1 && here.children[0]?.bytes === here.bytes) {
    here = here.children[0];
    name += `/${here.name}`;
  }
  const children = levels === 0 ? [] : here.children.map((each) => collapse(each, levels - 1));
  return { ...here, name, children: children.sort((a, b) => b.bytes - a.bytes) };
}
