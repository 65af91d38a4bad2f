import { expect, test } from "vitest";
import { heads, type Column } from "../src/parts/table";

test("a column that the server cannot sort by has no head to click", () => {
  const text = (row: string): string => row;
  const columns: Column<string>[] = [
    { key: "path", label: "path", numeric: false, server: "path", value: text, text },
    { key: "by", label: "by", numeric: false, value: text, text, wide: true },
  ];
  expect(heads(columns).map(({ key, isFixed, wide }) => [key, isFixed, wide])).toEqual([["path", false, undefined], ["by", true, true]]);
});
