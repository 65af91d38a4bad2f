// A peer as text, and the containers that it is.

import type { Neighbour, PeerInfo } from "./api/types";

/** `10.0.0.5:5432`, or who connected to which port of the container. */
export function peerText(row: Pick<PeerInfo, "remote" | "port" | "role">): string {
  if (row.port == null) return row.remote || "(no address)";
  if (row.role === "server") return `${row.remote} to port ${row.port}`;
  return row.remote.includes(":") ? `[${row.remote}]:${row.port}` : `${row.remote}:${row.port}`;
}

/** Identifies a peer. */
export function peerKey(peer: Pick<PeerInfo, "protocol" | "role" | "port" | "remote">): string {
  return `${peer.protocol} ${peer.role} ${peer.port ?? ""} ${peer.remote}`;
}

/** The containers of each peer, those with most connections first. */
export function byPeer(neighbours: readonly Neighbour[]): Map<string, Neighbour[]> {
  const known = new Map<string, Neighbour[]>();
  for (const each of neighbours) {
    const key = peerKey(each);
    known.set(key, [...(known.get(key) ?? []), each].sort((a, b) => b.connections - a.connections));
  }
  return known;
}

/** Why a peer is said to be this container. */
export function neighbourReason(neighbour: Neighbour): string {
  const where = neighbour.host === "" ? "" : ` on ${neighbour.host}`;
  if (neighbour.connections === 0) return `container ${neighbour.container}${where}: the only one of this host with that address at this time`;
  return `container ${neighbour.container}${where}: it has the other end of ${neighbour.connections} ${neighbour.connections === 1 ? "connection" : "connections"}`;
}
