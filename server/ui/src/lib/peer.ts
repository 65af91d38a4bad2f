// A peer as text.

import type { PeerInfo } from "./api/types";

/** `10.0.0.5:5432`, or who connected to which port of the container. */
export function peerText(row: Pick<PeerInfo, "remote" | "port" | "role">): string {
  if (row.port == null) return row.remote || "(no address)";
  if (row.role === "server") return `${row.remote} to port ${row.port}`;
  return row.remote.includes(":") ? `[${row.remote}]:${row.port}` : `${row.remote}:${row.port}`;
}
