import { expect, test } from "vitest";
import { groupByName } from "../src/lib/group";

const series = (process: string, name: string, ...values: (number | null)[]) => ({ process, name, values });

test("many of one name are one, few stay apart, and the rest is (other)", () => {
  const groups = groupByName(
    [
      series("1", "nginx", 10, null, 10),
      series("2", "nginx", 5, null, 5),
      series("3", "cc1", 1, null, 0),
      series("4", "cc1", 2, null, 0),
      series("5", "cc1", 0, null, 4),
      series("6", "tiny", 0.5, null, 0),
      series("(other)", "(other)", 3, null, 3),
    ],
    3,
  );
  expect(groups).toEqual([
    { process: "1", name: "nginx", members: 1, values: [10, null, 10] },
    { process: "2", name: "nginx", members: 1, values: [5, null, 5] },
    { process: null, name: "cc1", members: 3, values: [3, null, 4] },
    { process: "(other)", name: "(other)", members: 1, values: [3.5, null, 3] },
  ]);
});

test("nothing is made of nothing", () => expect(groupByName([], 3)).toEqual([]));
