import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
// @ts-expect-error a script, without types of its own
import { TYPES, types } from "../scripts/types.mjs";

test("the types are those of server/openapi.json: if not, npm run types makes them", () => {
  expect(readFileSync(TYPES as string, "utf8")).toBe((types as () => string)());
});
