import { expect, test } from "vitest";
import { parseRoute } from "../src/lib/route";

test("an address is read below the base path only", () => {
  expect(parseRoute("/bubble", "/bubble")).toEqual({ name: "containers" });
  expect(parseRoute("/bubble/", "/bubble")).toEqual({ name: "containers" });
  expect(parseRoute("/bubble/c/1", "/bubble")).toEqual({ name: "container", id: "1" });
  expect(parseRoute("/bubble/hosts", "/bubble")).toEqual({ name: "hosts" });
  expect(parseRoute("/bubble/recordings", "/bubble")).toEqual({ name: "recordings" });
  expect(parseRoute("/c/1", "/bubble")).toEqual({ name: "unknown" });
  expect(parseRoute("/bubbles/c/1", "/bubble")).toEqual({ name: "unknown" });
  expect(parseRoute("/c/1/report", "")).toEqual({ name: "report", id: "1" });
});
