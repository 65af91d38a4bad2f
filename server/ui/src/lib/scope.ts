// What a shared link shows: one container, or a range of its life. The server refuses
// times outside of that range, so requests are limited to it.

import type { Me } from "./api/types";

export interface Scope {
  /** Start and end of the range, in seconds since the Unix epoch. Null: the whole life. */
  range: readonly [number, number] | null;
  /** When the link expires. */
  expires: number;
}

/** Null: the token is not that of a shared link. */
let current: Scope | null = null;

export function scopeOf(me: Me): Scope | null {
  if (!me.shared) return null;
  const { from, to } = me.shared;
  const hasRange = typeof from === "number" && typeof to === "number";
  return { range: hasRange ? [from, to] : null, expires: me.expires };
}

export function setScope(scope: Scope | null): void {
  current = scope;
}

export function scope(): Scope | null {
  return current;
}

interface Times {
  from?: number | null | undefined;
  to?: number | null | undefined;
  at?: number | null | undefined;
}

/** The same times, those outside of the shared range moved to its bounds. */
export function limitTimes<Q extends Times>(query: Q, range: readonly [number, number] | null = current?.range ?? null): Q {
  if (range === null) return query;
  const limit = (time: number | null | undefined): number | null | undefined =>
    typeof time === "number" ? Math.min(Math.max(time, range[0]), range[1]) : time;
  return { ...query, from: limit(query.from), to: limit(query.to), at: limit(query.at) };
}
