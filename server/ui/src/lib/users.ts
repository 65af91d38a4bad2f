// What the side panel shows of a file or a peer: its series, and the processes that used it.

import { api, ApiError, NO_DETAILS } from "./api/client";
import type { GroupRow, Table, TableSeries } from "./api/types";
import { saved, savedUsers } from "./saved";
import { wordsOf, type FileThing, type PeerThing } from "./thing";

/** Processes that are named. */
const TOP = 30;

export interface Users {
  series: TableSeries;
  rows: GroupRow[];
  total: number;
}

export async function usersOf(id: string, thing: FileThing | PeerThing, { from, to }: { from: number; to: number }, signal: AbortSignal): Promise<Users> {
  const file = saved();
  if (file !== null) {
    const answer = savedUsers(file, thing);
    if (answer === null) throw new ApiError(404, "saved", NO_DETAILS);
    return usersIn(answer.series, answer.table);
  }
  const kind = thing.kind === "file" ? "file" : "network";
  const filter = wordsOf(thing);
  const sort = thing.kind === "file" ? "bytes" : "failures,bytes";
  const [series, table] = await Promise.all([
    api.series(id, { kind, from, to, filter }, signal),
    api.table(id, { kind, from, to, filter, group: "process,name,pid,container_pid,args", sort, limit: TOP }, signal),
  ]);
  return usersIn(series, table);
}

const usersIn = (series: TableSeries, table: Table): Users => ({ series, rows: table.rows as GroupRow[], total: table.total.rows });
