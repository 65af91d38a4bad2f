import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
// @ts-expect-error a script without types
import { TYPES, types } from "../scripts/types.mjs";

test("types.ts matches server/openapi.json; otherwise run npm run types", () => {
  expect(readFileSync(TYPES as string, "utf8")).toBe((types as () => string)());
});
