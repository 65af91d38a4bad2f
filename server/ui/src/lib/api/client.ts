// Client of the server's API. Every answer is typed. Every failure is an `ApiError`
// with the server's message.

import { token } from "../token";
import type { ContainerItem, ContainerList, HostList, Life, Me, Summary, Table } from "./types";

const ROOT = "/api/v1";

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
}

/** Seconds that the server's clock is ahead of the browser's. */
let ahead = 0;

/** The server's time, in seconds since the Unix epoch. */
export function serverNow(): number {
  return Date.now() / 1000 + ahead;
}

function noteClock(response: Response): void {
  const date = Date.parse(response.headers.get("date") ?? "");
  // The header has whole seconds, so the mean error is half a second.
  if (!Number.isNaN(date)) ahead = date / 1000 + 0.5 - Date.now() / 1000;
}

export type Query = Record<string, string | number | boolean | null | undefined>;

/** The URL of a request. Omits parameters that are not set. */
export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return ROOT + path + (text === "" ? "" : `?${text}`);
}

/** Sends a request with the token. Throws an `ApiError` unless the status is 2xx. */
export async function request(url: string, signal?: AbortSignal, accept = "application/json"): Promise<Response> {
  const headers: Record<string, string> = { accept };
  const bearer = token();
  if (bearer !== null) headers.authorization = `Bearer ${bearer}`;
  let response: Response;
  try {
    response = await fetch(url, { headers, signal: signal ?? null, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "the server does not answer");
  }
  noteClock(response);
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response: Response): Promise<ApiError> {
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

async function get<T>(path: string, query: Query, signal?: AbortSignal): Promise<T> {
  const response = await request(address(path, query), signal);
  return (await response.json()) as T;
}

export const containerPath = (id: string): string => `/containers/${encodeURIComponent(id)}`;

export const api = {
  me: (signal?: AbortSignal) => get<Me>("/me", {}, signal),
  containers: (query: Query, signal?: AbortSignal) => get<ContainerList>("/containers", query, signal),
  container: (id: string, signal?: AbortSignal) => get<ContainerItem>(containerPath(id), {}, signal),
  summary: (id: string, query: Query, signal?: AbortSignal) =>
    get<Summary>(`${containerPath(id)}/summary`, query, signal),
  table: (id: string, query: Query, signal?: AbortSignal) => get<Table>(`${containerPath(id)}/table`, query, signal),
  life: (id: string, signal?: AbortSignal) => get<Life>(`${containerPath(id)}/life`, {}, signal),
  hosts: (signal?: AbortSignal) => get<HostList>("/hosts", {}, signal),
};
