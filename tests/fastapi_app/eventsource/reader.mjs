// Reads streams from stdin and answers each with one line of JSON: its events as [name, data, last event id].
// A chunk of a stream is its length (32 bits, big-endian) and its bytes; the length 0 ends the stream.
import { createParser } from "eventsource-parser";

const BITS_32 = 4;

class Stream {
  constructor() {
    this.events = [];
    this.decoder = new TextDecoder();
    let lastId = "";
    this.parser = createParser({
      onEvent: ({ event, data, id }) => {
        lastId = id ?? lastId;
        this.events.push([event ?? "message", data, lastId]);
      },
    });
  }

  feed(bytes) {
    this.parser.feed(this.decoder.decode(bytes, { stream: true }));
  }
}

let held = Buffer.alloc(0);
let stream = new Stream();
for await (const read of process.stdin) {
  held = Buffer.concat([held, read]);
  while (held.length >= BITS_32) {
    const end = BITS_32 + held.readUInt32BE();
    if (held.length < end) break;
    if (end > BITS_32) {
      stream.feed(held.subarray(BITS_32, end));
    } else {
      process.stdout.write(`${JSON.stringify(stream.events)}\n`);
      stream = new Stream();
    }
    held = held.subarray(end);
  }
}
