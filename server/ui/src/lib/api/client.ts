// Asks the server. Every answer is typed; every failure is a `ApiError` that
// carries the server's own sentence.

import { token } from "../token";
import type { ContainerItem, ContainerList, HostList, Life, Me, Summary } from "./types";

const ROOT = "/api/v1";

/** What the server refused, or that it did not answer (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string | null = null,
  ) {
    super(message);
  }

  /** `error` as the page says it, whatever it is. */
  static of(error: unknown): ApiError {
    return error instanceof ApiError ? error : new ApiError(0, "", `the answer could not be read: ${String(error)}`);
  }

  /** Whether another token is needed. */
  get refused(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** How far the server's clock is ahead of this browser's, in seconds. */
let ahead = 0;

/** The time by the server's clock, in seconds since the Unix epoch. */
export function serverNow(): number {
  return Date.now() / 1000 + ahead;
}

function noteClock(response: Response): void {
  const date = Date.parse(response.headers.get("date") ?? "");
  // The header has whole seconds: half a second more is right on average.
  if (!Number.isNaN(date)) ahead = date / 1000 + 0.5 - Date.now() / 1000;
}

export type Query = Record<string, string | number | boolean | null | undefined>;

/** The address of a request, without the parameters that are not set. */
export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return ROOT + path + (text === "" ? "" : `?${text}`);
}

/** A request with the token; throws an `ApiError` unless the answer is good. */
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
    // Not of our server, but of something in front of it: the status has to do.
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
  life: (id: string, signal?: AbortSignal) => get<Life>(`${containerPath(id)}/life`, {}, signal),
  hosts: (signal?: AbortSignal) => get<HostList>("/hosts", {}, signal),
};
