import { afterEach, describe, expect, test } from "vitest";
import type { Me } from "../src/lib/api/types";
import { limitTimes, scope, scopeOf, setScope } from "../src/lib/scope";

const me = (shared: Me["shared"]): Me => ({ admin: false, container: "a", expires: 9, shared });

afterEach(() => setScope(null));

describe("the scope of a shared link", () => {
  test("is the range, the whole life, or none", () => {
    expect(scopeOf(me({ from: 60, to: 120 }))).toEqual({ range: [60, 120], expires: 9 });
    expect(scopeOf(me({ from: null, to: null }))).toEqual({ range: null, expires: 9 });
    expect(scopeOf(me(null))).toBeNull();
  });

  test("limits times, and nothing without a range", () => {
    expect(limitTimes({ from: 0, to: 500, at: 119, top: 5 })).toEqual({ from: 0, to: 500, at: 119, top: 5 });
    setScope({ range: [60, 120], expires: 9 });
    expect(scope()?.range).toEqual([60, 120]);
    expect(limitTimes({ from: 0, to: 500, at: 30, top: 5 })).toEqual({ from: 60, to: 120, at: 60, top: 5 });
    expect(limitTimes({ from: null, to: undefined, at: 119 })).toEqual({ from: null, to: undefined, at: 119 });
  });
});
