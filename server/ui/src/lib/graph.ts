// The graph of a container and its peers: the container at the left, its peers
// below each other at the right, the busiest first, so that no two edges cross.

import type { ConnectionInfo } from "./api/types";
import { bytes, count } from "./units";

/** A graph of one peer says nothing, and one of more than these cannot be read. */
export const FEWEST = 2;
export const MOST = 30;

/** All connections with one other end. */
export interface Peer {
  key: string;
  name: string;
  /** Of the other end nothing is known: the name is that of this end, as with a Unix socket that was listened on. */
  nameless: boolean;
  received: number;
  sent: number;
  failures: number;
  /** The container connected to it, and it to the container; neither when that is not known. */
  client: boolean;
  server: boolean;
}

export interface Stroke {
  path: string;
  width: number;
}

/** A peer's place, and what goes between it and the container. */
export interface Edge {
  peer: Peer;
  x: number;
  y: number;
  /** None where no byte went this way. */
  received: Stroke | null;
  sent: Stroke | null;
  /** Where nothing went at all. */
  idle: string | null;
  /** Points of the arrows, each at the end that was connected to. */
  arrows: string[];
  /** How many characters of its name there is room for. */
  room: number;
}

export interface Graph {
  height: number;
  own: { y: number; width: number; height: number; room: number };
  edges: Edge[];
}

const ROW = 22;
/** Height that an edge has at the container. */
const PORT = 13;
const BROAD = 6;
const ARROW = 7;
/** About the width of a character, rather too much than too little. */
const LETTER = 7.5;

/** The peers, the busiest first; `key` says which connections have the same other end. */
export function peersOf(rows: readonly ConnectionInfo[], key: (row: ConnectionInfo) => string, name: (row: ConnectionInfo) => string): Peer[] {
  const peers = new Map<string, Peer>();
  for (const row of rows) {
    const id = key(row);
    const known = peers.get(id) ?? { key: id, name: name(row), nameless: row.peer === "", received: 0, sent: 0, failures: 0, client: false, server: false };
    known.received += row.bytes_in;
    known.sent += row.bytes_out;
    known.failures += row.failures;
    known.client ||= row.role === "client";
    known.server ||= row.role === "server";
    peers.set(id, known);
  }
  return [...peers.values()].sort((a, b) => b.received + b.sent - a.received - a.sent);
}

/** How broad `size` bytes are drawn when the most is `most`: by the logarithm, as they differ by powers of ten. */
export function breadth(size: number, most: number): number {
  return size <= 0 ? 0 : 1 + ((BROAD - 1) * Math.log1p(size)) / Math.log1p(Math.max(size, most));
}

/** `text` with its middle left out when it has more than `most` characters: of an address both ends count. */
export function shorten(text: string, most: number): string {
  const letters = Array.from(text);
  if (letters.length <= most) return text;
  const kept = Math.max(0, most - 1);
  const end = Math.floor(kept / 2);
  return `${letters.slice(0, kept - end).join("")}…${letters.slice(letters.length - end).join("")}`;
}

const round = (value: number): number => Math.round(value * 10) / 10;

export function graph(peers: readonly Peer[], width: number): Graph {
  const most = Math.max(0, ...peers.flatMap((peer) => [peer.received, peer.sent]));
  const height = Math.max(2, peers.length) * ROW;
  const tall = Math.max(28, peers.length * PORT);
  const wide = Math.min(180, Math.max(90, width * 0.24));
  const own = { y: (height - tall) / 2, width: round(wide), height: tall, room: Math.floor((wide - 12) / LETTER) };
  const names = Math.min(300, Math.max(140, width * 0.46));
  const left = wide + 2;
  const right = width - names;
  const first = (height - peers.length * ROW) / 2;
  const edges = peers.map((peer, i): Edge => {
    const near = own.y + ((i + 0.5) * tall) / peers.length;
    const y = first + (i + 0.5) * ROW;
    const from = left + (peer.server ? ARROW : 0);
    const to = right - (peer.client ? ARROW : 0);
    const middle = (from + to) / 2;
    const curve = (shift: number): string =>
      `M${round(from)} ${round(near + shift)}C${round(middle)} ${round(near + shift)} ${round(middle)} ${round(y + shift)} ${round(to)} ${round(y + shift)}`;
    const received = breadth(peer.received, most);
    const sent = breadth(peer.sent, most);
    const top = -(received + sent + (received > 0 && sent > 0 ? 1 : 0)) / 2;
    const arrow = (tip: number, foot: number, at: number): string =>
      `${round(tip)},${round(at)} ${round(foot)},${round(at - ARROW / 2)} ${round(foot)},${round(at + ARROW / 2)}`;
    return {
      peer,
      x: round(right + 8),
      y: round(y),
      received: received === 0 ? null : { path: curve(top + received / 2), width: round(received) },
      sent: sent === 0 ? null : { path: curve(-top - sent / 2), width: round(sent) },
      idle: received + sent === 0 ? curve(0) : null,
      arrows: [...(peer.server ? [arrow(left, from, near)] : []), ...(peer.client ? [arrow(right, to, y)] : [])],
      room: Math.floor((names - 10) / LETTER),
    };
  });
  return { height, own, edges };
}

/** An edge in words. */
export function words(peer: Peer): string {
  const name = peer.name || "(no address)";
  let who = `${name}, who connected is not known`;
  if (peer.client && peer.server) who = `it and ${name} connected to each other`;
  else if (peer.client) who = `it connected to ${name}`;
  else if (peer.server) who = peer.nameless ? `others connected to its ${name}` : `${name} connected to it`;
  return `${who}: ${bytes(peer.received)} received, ${bytes(peer.sent)} sent${peer.failures > 0 ? `, ${count(peer.failures)} failed` : ""}`;
}
