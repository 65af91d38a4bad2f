// Layout of the graph of a container and its peers. The container is on the left,
// its peers are in a column on the right, the busiest first, so no two edges cross.

import type { ConnectionInfo } from "./api/types";
import { bytes, count } from "./units";

/** Bounds of what is drawn: one peer needs no graph, and more than `MAX_PEERS` are not readable. */
export const MIN_PEERS = 2;
export const MAX_PEERS = 30;

/** All connections with the same remote end. */
export interface Peer {
  key: string;
  name: string;
  /** The remote end has no address, as with clients of a Unix socket. `name` is then the local end. */
  nameless: boolean;
  received: number;
  sent: number;
  failures: number;
  /** The container connected to the peer (`client`), the peer to the container (`server`). Both false if unknown. */
  client: boolean;
  server: boolean;
}

export interface Stroke {
  path: string;
  width: number;
}

/** A peer's position, and the strokes between it and the container. */
export interface Edge {
  peer: Peer;
  x: number;
  y: number;
  /** Null if no byte went this way. */
  received: Stroke | null;
  sent: Stroke | null;
  /** Drawn if no byte went either way. */
  idle: string | null;
  /** Polygon points of the arrowheads. An arrow points to the end that accepted the connection. */
  arrows: string[];
  /** Number of characters of the name that fit. */
  maxCharacters: number;
}

export interface Graph {
  height: number;
  own: { y: number; width: number; height: number; maxCharacters: number };
  edges: Edge[];
}

const ROW_HEIGHT = 22;
/** Distance of two edges at the container, in pixels. */
const EDGE_SPACING = 13;
const MAX_STROKE = 6;
const ARROW_SIZE = 7;
/** Upper estimate of the width of a character. */
const CHARACTER_WIDTH = 7.5;

/** Groups connections by `key`, the remote end. The busiest peer comes first. */
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

/** Stroke width for `size` bytes if the largest is `max`. Logarithmic, as sizes differ by powers of ten. */
export function strokeWidth(size: number, max: number): number {
  return size <= 0 ? 0 : 1 + ((MAX_STROKE - 1) * Math.log1p(size)) / Math.log1p(Math.max(size, max));
}

/** Cuts the middle out of `text` if it has more than `max` characters. Both ends of an address matter. */
export function shorten(text: string, max: number): string {
  const letters = Array.from(text);
  if (letters.length <= max) return text;
  const remaining = Math.max(0, max - 1);
  const end = Math.floor(remaining / 2);
  return `${letters.slice(0, remaining - end).join("")}…${letters.slice(letters.length - end).join("")}`;
}

const round = (value: number): number => Math.round(value * 10) / 10;

export function graph(peers: readonly Peer[], width: number): Graph {
  const max = Math.max(0, ...peers.flatMap((peer) => [peer.received, peer.sent]));
  const height = Math.max(2, peers.length) * ROW_HEIGHT;
  const tall = Math.max(28, peers.length * EDGE_SPACING);
  const wide = Math.min(180, Math.max(90, width * 0.24));
  const own = { y: (height - tall) / 2, width: round(wide), height: tall, maxCharacters: Math.floor((wide - 12) / CHARACTER_WIDTH) };
  const names = Math.min(300, Math.max(140, width * 0.46));
  const left = wide + 2;
  const right = width - names;
  const first = (height - peers.length * ROW_HEIGHT) / 2;
  const edges = peers.map((peer, i): Edge => {
    const near = own.y + ((i + 0.5) * tall) / peers.length;
    const y = first + (i + 0.5) * ROW_HEIGHT;
    const from = left + (peer.server ? ARROW_SIZE : 0);
    const to = right - (peer.client ? ARROW_SIZE : 0);
    const middle = (from + to) / 2;
    const curve = (shift: number): string =>
      `M${round(from)} ${round(near + shift)}C${round(middle)} ${round(near + shift)} ${round(middle)} ${round(y + shift)} ${round(to)} ${round(y + shift)}`;
    const received = strokeWidth(peer.received, max);
    const sent = strokeWidth(peer.sent, max);
    const top = -(received + sent + (received > 0 && sent > 0 ? 1 : 0)) / 2;
    const arrow = (tip: number, foot: number, at: number): string =>
      `${round(tip)},${round(at)} ${round(foot)},${round(at - ARROW_SIZE / 2)} ${round(foot)},${round(at + ARROW_SIZE / 2)}`;
    return {
      peer,
      x: round(right + 8),
      y: round(y),
      received: received === 0 ? null : { path: curve(top + received / 2), width: round(received) },
      sent: sent === 0 ? null : { path: curve(-top - sent / 2), width: round(sent) },
      idle: received + sent === 0 ? curve(0) : null,
      arrows: [...(peer.server ? [arrow(left, from, near)] : []), ...(peer.client ? [arrow(right, to, y)] : [])],
      maxCharacters: Math.floor((names - 10) / CHARACTER_WIDTH),
    };
  });
  return { height, own, edges };
}

/** Text of an edge, for the tooltip and for screen readers. */
export function describe(peer: Peer): string {
  const name = peer.name || "(no address)";
  let who = `${name}, direction unknown`;
  if (peer.client && peer.server) who = `it and ${name} connected to each other`;
  else if (peer.client) who = `it connected to ${name}`;
  else if (peer.server) who = peer.nameless ? `others connected to its ${name}` : `${name} connected to it`;
  return `${who}: ${bytes(peer.received)} received, ${bytes(peer.sent)} sent${peer.failures > 0 ? `, ${count(peer.failures)} failed` : ""}`;
}
