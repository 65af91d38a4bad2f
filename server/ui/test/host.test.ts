import { describe, expect, test } from "vitest";
import type { HostItem } from "../src/lib/api/types";
import { clockText, containersLink, hostState, isClockOff } from "../src/lib/host";

const host = (part: Partial<HostItem>): HostItem => ({ host: "node7", state: "sending", silent_for: 1, ...part }) as HostItem;

describe("a host", () => {
  test("says since when it is silent", () => {
    expect(hostState(host({ state: "silent", silent_for: 200 }))).toMatch(/^silent, 3 min/);
    expect(hostState(host({}))).toBe("sending");
  });

  test("says how far its clock is off, or that nobody knows", () => {
    expect(clockText(host({ clock_offset: 0.4 }))).toBe("as the server's");
    expect(clockText(host({ clock_offset: 62 }))).toBe("1 min 2 s ahead of the server's");
    expect(clockText(host({ clock_offset: -12.3 }))).toBe("12 s behind the server's");
    expect(clockText(host({ clock_offset: null }))).toBe("not known yet");
    expect(isClockOff(host({ clock_offset: null }))).toBe(false);
  });

  test("leads to its containers, by its exact name", () => {
    expect(containersLink(host({}))).toBe("/?search=host%3A%3Dnode7");
    expect(containersLink(host({ host: "a b" }))).toBe('/?search=host%3A%22%3Da+b%22');
  });
});
