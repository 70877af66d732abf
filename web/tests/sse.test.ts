import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser, type SseEvent } from "../src/chat/sse.ts";

const bytes = new TextEncoder();

/** The events of a stream that arrives in chunks of so many bytes. */
function read(stream: string, size: number): SseEvent[] {
  const parser = new SseParser();
  const raw = bytes.encode(stream);
  const chunks = Array.from({ length: Math.ceil(raw.length / size) }, (_, index) =>
    raw.subarray(index * size, (index + 1) * size),
  );
  return chunks.flatMap((chunk) => parser.feed(chunk));
}

const LINES = [
  "retry: 500", ": ping", "id: e-1", "event: delta", 'data: {"text":"日本 🙂"}', "",
  "data", "data:  two spaces", "data:x: y", "", ": ping", "", "event: forgotten", "", "data: z", "",
  "event: delta", "data: not finished",
];
const EVENTS = [
  { name: "delta", data: '{"text":"日本 🙂"}', lastId: "e-1" },
  { name: "message", data: "\n two spaces\nx: y", lastId: "e-1" },
  { name: "message", data: "z", lastId: "e-1" },
];

for (const [name, end] of Object.entries({ LF: "\n", CR: "\r", CRLF: "\r\n" })) {
  for (const size of [1, 2, 3, 7, 1000]) {
    test(`lines that end with ${name}, in chunks of ${size} bytes`, () => {
      assert.deepEqual(read(`\uFEFF${LINES.join(end)}`, size), EVENTS);
    });
  }
}

test("line ends of all three kinds in one stream", () => {
  assert.deepEqual(read("data: a\r\ndata: b\rdata: c\n\r\n", 1), [
    { name: "message", data: "a\nb\nc", lastId: "" },
  ]);
});

test("no other character ends a line", () => {
  const data = "a\u2028b\u0085c\vd\fe";
  assert.deepEqual(read(`data: ${data}\n\n`, 1), [{ name: "message", data, lastId: "" }]);
});

test("an id stays until the next one, is emptied by an empty one, and takes no NUL", () => {
  const ids = ["id: e-1\ndata: a", "data: b", "id: x\0y\ndata: c", "id\ndata: d"];
  const found = read(`${ids.join("\n\n")}\n\n`, 1000).map(({ lastId }) => lastId);
  assert.deepEqual(found, ["e-1", "e-1", "e-1", ""]);
});
