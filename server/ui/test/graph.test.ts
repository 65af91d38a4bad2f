import { describe, expect, test } from "vitest";
import type { ConnectionInfo } from "../src/lib/api/types";
import { strokeWidth, graph, peersOf, shorten, describe as describePeer } from "../src/lib/graph";

const row = (peer: string, part: Partial<ConnectionInfo> = {}): ConnectionInfo => ({
  protocol: "tcp", role: "client", local: "10.0.0.1:40000", peer, remote: "", bytes_in: 0, bytes_out: 0, ops_in: 0, ops_out: 0, connects: 0, failures: 0, waited_ns: 0, processes: [], ...part,
});
const peers = (rows: ConnectionInfo[]) => peersOf(rows, (each) => each.peer, (each) => each.peer);
/** All numbers in a path or a list of points. */
const numbers = (text: string): number[] => (text.match(/-?\d+(\.\d+)?/g) ?? []).map(Number);

test("connections with the same remote end are one peer; the busiest comes first", () => {
  const made = peers([
    row("10.0.0.2:80", { bytes_in: 10, failures: 1 }),
    row("10.0.0.3:22", { role: "server", bytes_in: 500, bytes_out: 700 }),
    row("10.0.0.2:80", { local: "10.0.0.1:40001", bytes_out: 5, failures: 2 }),
    row("10.0.0.3:22", { role: "unknown" }),
  ]);
  expect(made.map(({ name }) => name)).toEqual(["10.0.0.3:22", "10.0.0.2:80"]);
  expect(made[0]).toMatchObject({ received: 500, sent: 700, failures: 0, client: false, server: true });
  expect(made[1]).toMatchObject({ received: 10, sent: 5, failures: 3, client: true, server: false });
});

test("the stroke width is logarithmic: one byte is visible, and the largest is bounded", () => {
  expect(strokeWidth(0, 1e12)).toBe(0);
  expect(strokeWidth(1, 1e12)).toBeGreaterThan(1);
  expect(strokeWidth(1e6, 1e12)).toBeCloseTo(3.5, 1);
  expect(strokeWidth(1e12, 1e12)).toBe(6);
  expect(strokeWidth(1, 1)).toBe(6);
});

describe("the layout", () => {
  const many = Array.from({ length: 30 }, (_, i) =>
    row(`10.0.0.${i}:80`, { role: ["client", "server", "unknown"][i % 3] ?? "", bytes_in: 10 ** (i % 8), bytes_out: i % 4 === 0 ? 0 : 1e7 }),
  );

  test.each([[2, 330], [30, 330], [30, 900], [3, 0]])("%d peers in %d px: all inside the drawing, and no rows overlap", (length, width) => {
    const made = graph(peers(many.slice(0, length)), width);
    expect(made.edges).toHaveLength(length);
    expect(made.own.y).toBeGreaterThanOrEqual(0);
    expect(made.own.y + made.own.height).toBeLessThanOrEqual(made.height);
    let below = 0;
    for (const edge of made.edges) {
      const all = [edge.received?.path, edge.sent?.path, edge.idle, ...edge.arrows].filter((text) => text != null).flatMap(numbers);
      expect(all.every(Number.isFinite)).toBe(true);
      expect(edge.y).toBeGreaterThan(below + 10);
      below = edge.y;
      expect(edge.y).toBeLessThan(made.height);
      if (width > 0) {
        expect(edge.x).toBeGreaterThan(made.own.width);
        expect(edge.x + 6 * edge.maxCharacters).toBeLessThanOrEqual(width);
      }
    }
  });

  test("an arrow points to the end that accepted the connection", () => {
    const [client, server, unknown] = graph(
      [row("a"), row("b", { role: "server" }), row("c", { role: "unknown" })].flatMap((each) => peers([each])),
      600,
    ).edges;
    const tip = (points = ""): number => numbers(points)[0] ?? NaN;
    expect(client?.arrows).toHaveLength(1);
    expect(tip(client?.arrows[0])).toBeGreaterThan(300);
    expect(server?.arrows).toHaveLength(1);
    expect(tip(server?.arrows[0])).toBeLessThan(300);
    expect(unknown?.arrows).toEqual([]);
  });

  test("one direction has one stroke; no bytes at all have a thin line", () => {
    const [one, none] = graph(peers([row("a", { bytes_out: 10 }), row("b", { failures: 1 })]), 600).edges;
    expect(one).toMatchObject({ received: null, idle: null, sent: { width: 6 } });
    expect(none).toMatchObject({ received: null, sent: null });
    expect(none?.idle).not.toBeNull();
  });
});

test("a long name keeps both ends", () => {
  expect(shorten("10.0.0.1:80", 20)).toBe("10.0.0.1:80");
  expect(shorten("[2001:db8::1234:5678]:443", 11)).toBe("[2001…]:443");
  expect(shorten("💧💧💧💧", 3)).toBe("💧…💧");
  expect(shorten("abc", 0)).toBe("…");
});

test("the text of an edge", () => {
  const said = (part: Partial<ConnectionInfo>): string[] => peers([row("10.0.0.2:80", { bytes_in: 2048, ...part })]).map(describePeer);
  expect(said({ failures: 2 })).toEqual(["it connected to 10.0.0.2:80: 2 KiB received, 0 B sent, 2 failed"]);
  expect(said({ role: "server" })).toEqual(["10.0.0.2:80 connected to it: 2 KiB received, 0 B sent"]);
  expect(said({ role: "unknown" })).toEqual(["10.0.0.2:80, direction unknown: 2 KiB received, 0 B sent"]);
  const listened = peersOf([row("", { protocol: "unix", role: "server", local: "/run/db" })], (each) => each.local, (each) => each.local);
  expect(listened.map(describePeer)).toEqual(["others connected to its /run/db: 0 B received, 0 B sent"]);
});
