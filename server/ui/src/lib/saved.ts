// A saved file: the page with its answers in it. They are read once, before the page
// starts; then the client of the API answers from them, and nothing is requested.

import type { ContainerItem, Lanes, Life, Me, Summary, Table, TableSeries } from "./api/types";
import type { FileThing, PeerThing } from "./thing";

const ELEMENT = "bubble-data";
const VERSION = 2;

export interface Saved {
  version: number;
  /** When the answers were made, in seconds since the Unix epoch. */
  made: number;
  /** Start and end of the range. */
  range: [number, number];
  container: ContainerItem;
  life: Life;
  summary: Summary;
  /** By slot: what the summary at that moment has instead. Empty if there are none. */
  moments: Difference[];
  /** Why there are none. */
  note: string | null;
  /** All processes over time. Null: they are too many for a file. */
  lanes: Lanes | null;
  /** The answers about single processes, files and peers, the most important ones first. */
  details: {
    processes: { life: string; summary: Difference }[];
    files: ({ path: string } & SavedUsers)[];
    peers: ({ protocol: string; role: string; port: number | null; remote: string } & SavedUsers)[];
    /** How many have no answer of their own. */
    left_out: { processes: number; files: number; peers: number };
  };
}

/** What a file or a peer did over time, and by which processes. */
export interface SavedUsers {
  series: TableSeries;
  table: Table;
}

/** Members that replace those of a summary, in objects within it likewise. The member "" names those that it lacks. */
export type Difference = { [name: string]: unknown };

let current: Saved | null = null;

/** The answers of this file. Null: the page is served by a server. */
export function saved(): Saved | null {
  return current;
}

/** Reads the answers if the page is a saved file. */
export async function readSaved(): Promise<void> {
  const text = document.getElementById(ELEMENT)?.textContent;
  if (text) current = await unpack(text);
}

/** For tests. */
export function useSaved(answers: Saved | null): void {
  current = answers;
}

/** Decodes base64 of compressed JSON. */
export async function unpack(text: string): Promise<Saved> {
  const packed = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
  const json = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const answers = (await new Response(json).json()) as Saved;
  if (answers.version !== VERSION) throw new Error(`this file has version ${answers.version} of the data, and the page reads ${VERSION}`);
  return answers;
}

/** `base` with the members of `difference`. */
export function applyDifference<T extends object>(base: T, difference: Difference): T {
  const merged = { ...base } as Record<string, unknown>;
  for (const name of (difference[""] as string[] | undefined) ?? []) delete merged[name];
  for (const [name, value] of Object.entries(difference)) {
    if (name === "") continue;
    const own = merged[name];
    merged[name] = isObject(own) && isObject(value) ? applyDifference(own, value) : value;
  }
  return merged as T;
}

function isObject(value: unknown): value is Difference {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The summary of the range, or as of the slot that contains `at`. Null if the file has no moments. */
export function savedSummary(answers: Saved, at: number | null): Summary | null {
  if (at === null) return answers.summary;
  const { from, step, slots } = answers.summary.range;
  const slot = Math.min(Math.max(Math.floor((at - from) / step + 1e-6), 0), slots - 1);
  const difference = answers.moments[slot];
  return difference === undefined ? null : applyDifference(answers.summary, difference);
}

/** The summary of one process in the range. Null if the file does not have it. */
export function savedProcess({ summary, details }: Saved, key: string): Summary | null {
  const found = details.processes.find(({ life }) => key === life || key.startsWith(`${life}-`));
  return found === undefined ? null : applyDifference(summary, found.summary);
}

/** What a file or a peer did. Null if the saved file does not have it. */
export function savedUsers({ details }: Saved, thing: FileThing | PeerThing): SavedUsers | null {
  if (thing.kind === "file") return details.files.find((one) => one.path === thing.path) ?? null;
  const { protocol, role, port, remote } = thing;
  return details.peers.find((one) => one.protocol === protocol && one.role === role && one.port === port && one.remote === remote) ?? null;
}

/** What the file leaves out, as a sentence. Empty if it has everything. */
export function leftOutText({ lanes, details, note }: Saved): string {
  const { left_out } = details;
  const parts = [
    note === null ? "" : `single moments (${note})`,
    lanes === null ? "lanes (too many for a file)" : "",
    ...(["processes", "files", "peers"] as const).map((kind) => (left_out[kind] > 0 ? `details of ${left_out[kind]} of ${left_out[kind] + details[kind].length} ${kind}` : "")),
  ].filter((part) => part !== "");
  return parts.length === 0 ? "" : `It leaves out ${parts.join(", ")}.`;
}

/** What the answers of a file allow: like a link to its range. */
export function savedMe({ container, range, made }: Saved): Me {
  return { admin: false, container: container.id, expires: made, shared: { from: range[0], to: range[1] } };
}
