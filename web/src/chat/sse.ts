// A parser of server-sent events, as the HTML standard has them (9.2.6): bytes in, events out.

export interface SseEvent {
  readonly name: string;
  readonly data: string;
  /** The last id that the stream has named so far, this event included. */
  readonly lastId: string;
}

export class SseParser {
  #decoder = new TextDecoder(); // drops a BOM, and keeps a character that is cut for the next chunk
  #line = "";
  #afterCr = false;
  #name = "";
  #data: string[] = [];
  #id: string;

  constructor(lastId = "") {
    this.#id = lastId;
  }

  /** The events that this chunk completes; what is incomplete at the end of a stream is dropped. */
  feed(bytes: Uint8Array): SseEvent[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    const events: SseEvent[] = [];
    let start = 0;
    for (let at = 0; at < text.length; at++) {
      const end = text[at];
      if (end !== "\n" && end !== "\r") continue;
      // The LF of a CRLF ends no second line, in another chunk neither.
      const half = end === "\n" && at === start && this.#line === "" && this.#afterCr;
      if (!half) this.#take(this.#line + text.slice(start, at), events);
      this.#line = "";
      this.#afterCr = end === "\r";
      start = at + 1;
    }
    this.#line += text.slice(start);
    if (start < text.length) this.#afterCr = false;
    return events;
  }

  #take(line: string, events: SseEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0) {
        const name = this.#name || "message";
        events.push({ name, data: this.#data.join("\n"), lastId: this.#id });
      }
      this.#name = "";
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#name = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }
}
