import { expect, test } from "vitest";
import { completions, groupWord, lastWord, valueColumn, valuesOf, wordOf } from "../src/lib/complete";

const group = (column: string, value: string, rows: number) => ({ group: { [column]: value }, rows, sums: {}, names: [] });

test("the last word is completed, those before it stay", () => {
  expect(lastWord('shop image:"a b')).toEqual({ before: "shop ", word: 'image:"a b' });
  expect(completions("shop im", [], 5)).toEqual([{ value: "shop image:", label: "part of the image's name" }]);
  expect(completions("shop ", [], 5)).toEqual([]);
  expect(completions("oom", [], 5)).toEqual([]);
  expect(completions("shop image:post", ["postgres:16", "redis", "my post office"], 5)).toEqual([
    { value: "shop image:postgres:16 ", label: "postgres:16" },
    { value: 'shop image:"my post office" ', label: "my post office" },
  ]);
  expect(completions("", [], 3)).toHaveLength(3);
});

test("values come from groups, each label by itself, the most frequent first", () => {
  expect(valuesOf("image", [group("image", "a", 1), group("image", "b", 3), group("image", "", 9)])).toEqual(["b", "a"]);
  expect(valuesOf("label", [group("label", "team=ml\nstage=x", 2), group("label", "team=ml", 5)])).toEqual(["team=ml", "stage=x"]);
  expect([valueColumn("image:x"), valueColumn("cpu_now:>1"), valueColumn("image")]).toEqual(["image", null, null]);
  expect(wordOf("label", 'a "b"\\')).toBe('label:"a \\"b\\"\\\\"');
});

test("the word of a group matches its label or value only, case included", () => {
  expect(groupWord("label:team", "ml")).toBe('label:=="team=ml"');
  expect(groupWord("host", "node 1")).toBe('host:=="node 1"');
});
