import { expect, test } from "vitest";
import type { Neighbour } from "../src/lib/api/types";
import { byPeer, neighbourReason, peerKey } from "../src/lib/peer";

const peer = { protocol: "tcp", role: "client", remote: "10.0.0.3", port: 5432 };
const known = (container: string, connections: number): Neighbour => ({ ...peer, container, name: "", host: "node1", connections });

test("a peer may be several containers, those with most connections first", () => {
  const found = byPeer([known("a", 1), known("b", 2), { ...known("c", 1), port: 80 }]);
  expect(found.get(peerKey(peer))?.map((each) => each.container)).toEqual(["b", "a"]);
  expect(found.size).toBe(2);
});

test("the reason says whether both ends are known", () => {
  expect(neighbourReason(known("a", 2))).toBe("container a on node1: it has the other end of 2 connections");
  expect(neighbourReason(known("a", 0))).toContain("the only one of this host with that address");
});
