import { expect, test } from "vitest";
import { EventParser } from "../src/lib/api/events";

const STREAM = ': keep-alive\n\nevent: slots\ndata: {"a":1}\n\nevent: slots\r\ndata: one\r\ndata: two\r\n\r\nid: 7\ndata:no space\n\nevent: end\n\n';
const EVENTS = [
  { event: "slots", data: '{"a":1}' },
  { event: "slots", data: "one\ntwo" },
  { event: "message", data: "no space" },
];

test("a stream is split into events; comments and events without data are skipped", () => {
  expect(new EventParser().push(STREAM)).toEqual(EVENTS);
});

test("the events do not depend on where the stream is cut", () => {
  for (let cut = 0; cut <= STREAM.length; cut++) {
    const parser = new EventParser();
    expect([...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))]).toEqual(EVENTS);
  }
  const parser = new EventParser();
  expect([...STREAM].flatMap((letter) => parser.push(letter))).toEqual(EVENTS);
});
