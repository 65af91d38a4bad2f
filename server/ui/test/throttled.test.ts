import { expect, test } from "vitest";
import { account } from "../src/lib/account";
import { laneEvents } from "../src/lib/lanes/events";
import { mean } from "../src/lib/slots";
import { heldBack, heldBackOf } from "../src/lib/throttled";
import { summary } from "./summary";

/** `threads` busy threads on as many cores, which a limit lets run for `part` of the time. */
function limited(threads: number, part: number) {
  const used = [100 * threads * part, 100 * threads * part];
  const of = summary(100, used);
  of.cpu.throttled = used.map(() => 100 * threads * (1 - part));
  of.cpu.limit = used;
  return of;
}

test.each([1, 4, 64])("the share is the same for %d threads that are held back as much", (threads) => {
  const of = limited(threads, 0.25);
  expect(heldBack(of.cpu)).toEqual([75, 75]);
  expect(heldBackOf(of.cpu, mean)).toBe(75);
  const text = "held back 75 % of the CPU time that it could have used";
  expect(account(of.container, of, true).map((phrase) => phrase.text).join()).toContain(text);
  expect(laneEvents(of, 100).map((event) => event.text)).toContain(`its CPU limit ${text}`);
});

test("it never exceeds 100 %, and is 0 without throttled time and unknown without a figure", () => {
  const of = limited(8, 0);
  expect(heldBack(of.cpu)).toEqual([100, 100]);
  expect(heldBack({ ...of.cpu, throttled: [0, null] })).toEqual([0, null]);
  expect(heldBackOf({ ...of.cpu, throttled: [null, null] }, mean)).toBeNull();
});

test("of several slots it is the share of all their time, not the mean of their shares", () => {
  const of = summary(100, [300, 0]);
  of.cpu.throttled = [0, 100];
  expect(heldBack(of.cpu)).toEqual([0, 100]);
  expect(heldBackOf(of.cpu, mean)).toBe(25);
});
