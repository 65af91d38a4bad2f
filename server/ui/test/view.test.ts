import { describe, expect, test } from "vitest";
import { follow, formatView, isLive, LIVE, parseView, stepsFor, type View } from "../src/lib/view";

describe("the address holds the view", () => {
  const views: [string, View][] = [
    ["", LIVE],
    ["?span=60", { ...LIVE, span: 60 }],
    ["?from=100&to=200", { ...LIVE, from: 100, to: 200 }],
    ["?from=100&to=200&t=150.25&sel=4711-1764000000000000000-2&pin=cpu", {
      ...LIVE, from: 100, to: 200, at: 150.25, process: "4711-1764000000000000000-2", pin: "cpu",
    }],
    ["?from=100&to=400&step=60", { ...LIVE, from: 100, to: 400, step: 60 }],
    ["?root=slurm_script", { ...LIVE, root: "slurm_script" }],
    ["?vs=c0ffee123456", { ...LIVE, vs: "c0ffee123456" }],
    ["?from=100&to=200&vs=step_0%40node7", { ...LIVE, from: 100, to: 200, vs: "step_0@node7" }],
  ];
  test.each(views)("%s", (text, view) => {
    expect(parseView(text)).toEqual(view);
    expect(formatView(view)).toBe(text);
  });
});

test("steps that make sense have at least two slots, and no more than the server answers", () => {
  expect(stepsFor(300)).toEqual([1, 10, 60]);
  expect(stepsFor(86_400)).toEqual([60, 600, 3600, 21_600]);
  expect(stepsFor(1)).toEqual([]);
  expect(parseView("?step=0.5").step).toBeNull();
  expect(parseView("?step=-60").step).toBeNull();
});

test("an instant without a range gets a range around it", () => {
  const view = parseView("?t=1000");
  expect(view).toEqual({ ...LIVE, from: 850, to: 1150, at: 1000 });
  expect(isLive(view)).toBe(false);
});

test.each(["?from=200&to=100", "?from=x&to=100", "?from=&to=", "?span=-1", "?from=NaN&to=Infinity", "?t=abc"])(
  "%s is invalid and shows the live view",
  (text) => expect(parseView(text)).toEqual(LIVE),
);

test("a hostile process name survives the round trip through the address", () => {
  const view = { ...LIVE, process: `<img src=x>&sel=1#"` };
  expect(parseView(formatView(view))).toEqual(view);
});

test.each(["", "../../me", "a b", "a?b=c", "%00", "name\n", "<b>ü</b>", "x".repeat(256)])(
  "an invalid container id (%j) is not compared with",
  (id) => expect(parseView(`?${new URLSearchParams({ vs: id })}`)).toEqual(LIVE),
);

test("the range follows the handle with its width unchanged", () => {
  expect(follow(100, 200, 150)).toEqual([100, 200]);
  expect(follow(100, 200, 95)).toEqual([85, 185]);
  expect(follow(100, 200, 200)).toEqual([110, 210]);
});
