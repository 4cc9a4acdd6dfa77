import { expect, test } from "vitest";
import { type Frame, SSEDecoder } from "../../src/protocol/sse";

const stream = ': hello\n\nid: t:1\ndata: {"a":"ä👩‍💻"}\n\nevent: turn.end\r\nid: t:2\r\ndata: one\r\ndata: two\r\n\r\ndata: cut';
const whole: Frame[] = [
  { event: "message", id: "t:1", data: '{"a":"ä👩‍💻"}' },
  { event: "turn.end", id: "t:2", data: "one\ntwo" },
];

test.each([1, 2, 3, 5, 7, 64, 1000])("in chunks of %d bytes", (size) => {
  const bytes = new TextEncoder().encode(stream);
  const decoder = new SSEDecoder();
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += size) frames.push(...decoder.feed(bytes.subarray(at, at + size)));
  expect(frames).toEqual(whole);
});

test("returns alone end lines", () => {
  const decoder = new SSEDecoder();
  expect(decoder.feed(new TextEncoder().encode("data: x\r\rdata: y\r\r")).map((frame) => frame.data)).toEqual(["x", "y"]);
});
