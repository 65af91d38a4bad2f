// What the side panel shows of a file or a peer: its series, and the processes that used it.

import { api } from "./api/client";
import type { GroupRow, TableSeries } from "./api/types";
import { wordsOf, type FileThing, type PeerThing } from "./thing";

/** Processes that are named. */
const TOP = 30;

export interface Users {
  series: TableSeries;
  rows: GroupRow[];
  total: number;
}

export async function usersOf(id: string, thing: FileThing | PeerThing, { from, to }: { from: number; to: number }, signal: AbortSignal): Promise<Users> {
  const kind = thing.kind === "file" ? "file" : "network";
  const filter = wordsOf(thing);
  const sort = thing.kind === "file" ? "bytes" : "failures,bytes";
  const [series, table] = await Promise.all([
    api.series(id, { kind, from, to, filter }, signal),
    api.table(id, { kind, from, to, filter, group: "process,name,pid,container_pid,args", sort, limit: TOP }, signal),
  ]);
  return { series, rows: table.rows as GroupRow[], total: table.total.rows };
}
