// Addresses: `/` is the list, `/c/ID` one container, `/c/ID/report` its report, below the base path.

import { BASE } from "./base";

export type Route =
  | { name: "containers" }
  | { name: "container"; id: string }
  | { name: "report"; id: string }
  | { name: "hosts" }
  | { name: "recordings" }
  | { name: "unknown" };

export function parseRoute(address: string, base = BASE): Route {
  if (base !== "" && address !== base && !address.startsWith(`${base}/`)) return { name: "unknown" };
  const path = address.slice(base.length) || "/";
  if (path === "/" || path === "/index.html") return { name: "containers" };
  const [, view] = /^\/(hosts|recordings)\/?$/.exec(path) ?? [];
  if (view !== undefined) return { name: view as "hosts" | "recordings" };
  const [, container, report] = /^\/c\/([^/]+)(\/report)?\/?$/.exec(path) ?? [];
  if (container === undefined) return { name: "unknown" };
  try {
    return { name: report === undefined ? "container" : "report", id: decodeURIComponent(container) };
  } catch {
    return { name: "unknown" };
  }
}

export const LIST_LINK = `${BASE}/`;
export const HOSTS_LINK = `${BASE}/hosts`;
export const RECORDINGS_LINK = `${BASE}/recordings`;

export const containerLink = (id: string): string => `${BASE}/c/${encodeURIComponent(id)}`;

/** The report of a range, or of the whole life. */
export const reportLink = (id: string, range?: [number, number]): string =>
  `${containerLink(id)}/report${range === undefined ? "" : `?from=${range[0]}&to=${range[1]}`}`;
