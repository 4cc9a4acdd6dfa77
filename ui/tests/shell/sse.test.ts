import { expect, test } from "vitest";
import { EventTooLong, type Frame, LONGEST_EVENT, SSEDecoder } from "../../src/protocol/sse";
import { spent } from "../spent";

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

/** Milliseconds to read an event of some characters that comes in small chunks; the best of three. */
function timeOf(length: number): number {
  const chunk = new TextEncoder().encode("x".repeat(200));
  return Math.min(
    ...[1, 2, 3].map(() => {
      const decoder = new SSEDecoder();
      return spent(() => {
        decoder.feed(new TextEncoder().encode("data: "));
        for (let at = 0; at < length; at += chunk.length) expect(decoder.feed(chunk)).toEqual([]);
        expect(decoder.feed(new TextEncoder().encode("\n\n"))[0]?.data.length).toBe(length);
      });
    }),
  );
}

test("a long event costs in proportion to its length", () => {
  timeOf(100_000);
  // Eight times as long; its square would be 64 times.
  expect(timeOf(4_000_000) / timeOf(500_000)).toBeLessThan(25);
});

test("an event without an end is given up", () => {
  const decoder = new SSEDecoder();
  const chunk = new TextEncoder().encode("x".repeat(1024 * 1024));
  expect(() => {
    for (let size = 0; size <= LONGEST_EVENT; size += chunk.length) decoder.feed(chunk);
  }).toThrow(EventTooLong);
  const lines = new SSEDecoder();
  const line = new TextEncoder().encode(`data: ${"x".repeat(1024 * 1024)}\n`);
  expect(() => {
    for (let size = 0; size <= LONGEST_EVENT; size += line.length) lines.feed(line);
  }).toThrow(EventTooLong);
});
