// One thing that the side panel shows: a process, a file or a peer, as the address has it.

import { exactly } from "./rows";

export interface ProcessThing {
  kind: "process";
  /** `PID-START`, with or without `-EXEC`. */
  key: string;
}

export interface FileThing {
  kind: "file";
  path: string;
}

export interface PeerThing {
  kind: "peer";
  protocol: string;
  role: string;
  /** Null if the protocol has no ports. */
  port: number | null;
  remote: string;
}

export type Thing = ProcessThing | FileThing | PeerThing;

/** Longest path or address that an address of the page carries. */
const MAX_LENGTH = 4096;

/** `process:PID-START`, `file:PATH`, `peer:PROTOCOL,ROLE,PORT,REMOTE`. */
export function formatThing(thing: Thing): string {
  if (thing.kind === "process") return `process:${thing.key}`;
  if (thing.kind === "file") return `file:${thing.path}`;
  return `peer:${thing.protocol},${thing.role},${thing.port ?? ""},${thing.remote}`;
}

/** Null if `text` is not valid. */
export function parseThing(text: string): Thing | null {
  const colon = text.indexOf(":");
  const rest = text.slice(colon + 1);
  if (colon < 0 || rest === "" || rest.length > MAX_LENGTH) return null;
  const kind = text.slice(0, colon);
  if (kind === "process") return /^\d+-\d+(-\d+)?$/.test(rest) ? { kind, key: rest } : null;
  if (kind === "file") return { kind, path: rest };
  const parts = kind === "peer" ? /^([a-z-]+),([a-z]+),(\d{0,5}),(.*)$/s.exec(rest) : null;
  const [, protocol, role, port, remote] = parts ?? [];
  if (protocol === undefined || role === undefined || remote === undefined) return null;
  return { kind: "peer", protocol, role, port: port ? Number(port) : null, remote };
}

/** Words of a filter that only rows about this file or peer match. */
export function wordsOf(thing: FileThing | PeerThing): string {
  if (thing.kind === "file") return exactly("path", thing.path);
  const words = [exactly("protocol", thing.protocol), exactly("role", thing.role), exactly("remote", thing.remote)];
  if (thing.port !== null) words.push(`port:${thing.port}`);
  return words.join(" ");
}

/** The process of a row as a thing. Null for a folded row, which is no single process. */
export function processThing(key: string): ProcessThing | null {
  return /^[1-9]\d*-\d+/.test(key) ? { kind: "process", key } : null;
}
