import { expect, test } from "vitest";
import { whyMissing, whyNoMemory, whyUnknown } from "../src/lib/why";
import { summary } from "./summary";

test("a gap, a figure that was not measured and a range without data have different reasons", () => {
  const data = summary(1000, [1, null, 2]);
  expect(whyUnknown(data, -1)).toBe("there is no data in this range");
  expect(whyUnknown(data, 1)).toBe("no data was received for this time");
  expect(whyUnknown(data, 2)).toBe("the agent did not measure it in this time");
});

test("what the hooks do not count is named", () => {
  expect(whyMissing("sysdig")).toContain("chisel");
  expect(whyMissing("procfs")).toContain("procfs");
  expect(whyNoMemory("vfs")).toContain("ended before");
  expect(whyNoMemory("sysdig")).toBe(whyMissing("sysdig"));
});
