// Client of the server's API. Every answer is typed. Every failure is an `ApiError`
// with the server's message.

import { BASE } from "../base";
import { saved, savedMe, savedProcess, savedSummary, type Saved } from "../saved";
import { limitTimes } from "../scope";
import { token } from "../token";
import type {
  Comparison,
  ContainerItem,
  ContainerList,
  CreatedShare,
  HostsOverview,
  Lanes,
  Life,
  Me,
  Neighbours,
  NewShare,
  ShareList,
  Summary,
  Table,
  TableSeries,
} from "./types";

const ROOT = `${BASE}/api/v1`;

/** The server's error, or status 0 if it did not answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string | null = null,
  ) {
    super(message);
  }

  /** Converts any error. */
  static of(error: unknown): ApiError {
    return error instanceof ApiError ? error : new ApiError(0, "", `cannot read the server's answer: ${String(error)}`);
  }

  /** Whether the token is missing, invalid or not sufficient. */
  get refused(): boolean {
    return this.status === 401 || this.status === 403;
  }

  /** Whether a shared link has expired or was revoked. */
  get linkEnded(): boolean {
    return this.code === "link_expired" || this.code === "link_revoked";
  }
}

/** Seconds that the server's clock is ahead of the browser's. */
let ahead = 0;

/** The server's time, in seconds since the Unix epoch. */
export function serverNow(): number {
  const file = saved();
  // All times of a file are told as of when it was made.
  if (file !== null) return file.made;
  return Date.now() / 1000 + ahead;
}

function noteClock(response: Response): void {
  const date = Date.parse(response.headers.get("date") ?? "");
  // The header has whole seconds, so the mean error is half a second.
  if (!Number.isNaN(date)) ahead = date / 1000 + 0.5 - Date.now() / 1000;
}

/** Names in the stacks of CPU and memory; the others are one. */
export const MAX_NAMES = 12;

export type Query = Record<string, string | number | boolean | null | undefined>;
type RangeQuery = Query & { from?: number | null; to?: number | null; at?: number | null };

/** The URL of a request. Omits parameters that are not set. */
export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return ROOT + path + (text === "" ? "" : `?${text}`);
}

/** A request that changes something. */
interface Change {
  method: "POST" | "DELETE";
  body?: string;
}

/** Sends a request with the token. Throws an `ApiError` unless the status is 2xx. */
export async function request(url: string, signal?: AbortSignal, accept = "application/json", change?: Change): Promise<Response> {
  if (saved() !== null) throw new ApiError(0, "saved", NOT_SAVED);
  const headers: Record<string, string> = { accept };
  if (change?.body !== undefined) headers["content-type"] = "application/json";
  const bearer = token();
  if (bearer !== null) headers.authorization = `Bearer ${bearer}`;
  let response: Response;
  try {
    response = await fetch(url, { ...change, headers, signal: signal ?? null, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "the server does not answer");
  }
  noteClock(response);
  if (!response.ok) throw await failure(response);
  return response;
}

/** The error that an answer has. */
export async function failure(response: Response): Promise<ApiError> {
  try {
    const body = (await response.json()) as { code?: string; message?: string; request_id?: string };
    if (typeof body.message === "string") {
      return new ApiError(response.status, body.code ?? "", body.message, body.request_id ?? null);
    }
  } catch {
    // The answer is not from our server but from a proxy in front of it: only the status is known.
  }
  return new ApiError(response.status, "", `the server answered ${response.status}`);
}

const NOT_SAVED = "a saved file does not have this: ask for a link";
/** Why the side panel of a saved file may be empty. */
export const NO_DETAILS = "a saved file has the details of the most important ones only, and not of this: ask for a link";

/** Answers from the data of a file. */
function savedAnswer(file: Saved, path: string, query: Query): unknown {
  const own = containerPath(file.container.id);
  if (path === "/me") return savedMe(file);
  if (path === own) return file.container;
  if (path === `${own}/life`) return file.life;
  if (path === `${own}/lanes` && file.lanes !== null) return file.lanes;
  if (path === `${own}/summary` && typeof query.process === "string") {
    const summary = savedProcess(file, query.process);
    if (summary !== null) return summary;
    throw new ApiError(404, "saved", NO_DETAILS);
  }
  if (path === `${own}/summary`) {
    const summary = savedSummary(file, typeof query.at === "number" ? query.at : null);
    if (summary !== null) return summary;
    throw new ApiError(404, "saved", `this file has no single moments: ${file.note ?? ""}`);
  }
  throw new ApiError(404, "saved", NOT_SAVED);
}

async function get<T>(path: string, query: Query, signal?: AbortSignal): Promise<T> {
  const file = saved();
  if (file !== null) return savedAnswer(file, path, query) as T;
  const response = await request(address(path, query), signal);
  return (await response.json()) as T;
}

async function text(path: string, query: Query, signal?: AbortSignal): Promise<string> {
  const response = await request(address(path, query), signal, "text/plain");
  return response.text();
}

export const containerPath = (id: string): string => `/containers/${encodeURIComponent(id)}`;

export const api = {
  me: (signal?: AbortSignal) => get<Me>("/me", {}, signal),
  containers: (query: Query, signal?: AbortSignal) => get<ContainerList>("/containers", query, signal),
  container: (id: string, signal?: AbortSignal) => get<ContainerItem>(containerPath(id), {}, signal),
  summary: (id: string, query: RangeQuery, signal?: AbortSignal) =>
    get<Summary>(`${containerPath(id)}/summary`, limitTimes(query), signal),
  table: (id: string, query: RangeQuery, signal?: AbortSignal) =>
    get<Table>(`${containerPath(id)}/table`, limitTimes(query), signal),
  lanes: (id: string, query: RangeQuery, signal?: AbortSignal) =>
    get<Lanes>(`${containerPath(id)}/lanes`, limitTimes(query), signal),
  series: (id: string, query: RangeQuery, signal?: AbortSignal) =>
    get<TableSeries>(`${containerPath(id)}/series`, limitTimes(query), signal),
  neighbours: (id: string, query: RangeQuery, signal?: AbortSignal) =>
    get<Neighbours>(`${containerPath(id)}/neighbours`, limitTimes(query), signal),
  compare: (id: string, vs: string, signal?: AbortSignal) => get<Comparison>(`${containerPath(id)}/compare`, { with: vs }, signal),
  life: (id: string, signal?: AbortSignal) => get<Life>(`${containerPath(id)}/life`, {}, signal),
  shares: (container: string, signal?: AbortSignal) => get<ShareList>("/shares", { container }, signal),
  createShare: async (share: NewShare): Promise<CreatedShare> => {
    const change: Change = { method: "POST", body: JSON.stringify(share) };
    return (await (await request(address("/shares"), undefined, undefined, change)).json()) as CreatedShare;
  },
  revokeShare: async (id: string): Promise<void> => {
    await request(address(`/shares/${encodeURIComponent(id)}`), undefined, undefined, { method: "DELETE" });
  },
  report: (id: string, query: Query, signal?: AbortSignal) =>
    text(`${containerPath(id)}/report`, { ...query, format: "text" }, signal),
  hosts: (signal?: AbortSignal) => get<HostsOverview>("/hosts", {}, signal),
};
