// The ways to read a session's events; each reads one connection and knows nothing of answers or retries.

import { retryAfterMs } from "./backoff.ts";
import { SseParser } from "./sse.ts";

export type Transport = "eventsource" | "fetch" | "websocket";
export const TRANSPORTS: readonly Transport[] = ["eventsource", "fetch", "websocket"];

export interface WireEvent {
  readonly name: string;
  readonly data: unknown;
  /** The last id that the connection has named so far; an event without one has that of its predecessor. */
  readonly lastId: string;
}

/** Where to read from, and from which event on. */
export interface Source {
  readonly base: string;
  readonly sessionId: string;
  readonly ticket: string;
  readonly streamUrl: string;
  readonly lastId: string;
}

export interface Sink {
  /** The server answers. */
  opened(): void;
  /** Something came that is no event: a heartbeat. */
  alive(): void;
  /** The connection broke, and the browser makes a new one by itself. */
  broken(): void;
  /** False when no more is wanted. */
  take(event: WireEvent): boolean;
}

export interface Problem {
  readonly code: string;
  readonly message: string;
}

/** An answer other than the one that was asked for. */
export class Refused extends Error {
  readonly status: number;
  readonly problem: Problem;
  readonly retryAfterMs: number;

  constructor(status: number, problem: Problem, retryAfterMs = 0) {
    super(problem.message);
    this.status = status;
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }

  /** Reads the one error body; a proxy's own error page has none. */
  static async from(response: Response): Promise<Refused> {
    const fallback = { code: `http_${response.status}`, message: response.statusText };
    const body: unknown = await response.json().catch(() => null);
    const problem = { ...fallback, ...(body as { error?: Problem } | null)?.error };
    return new Refused(response.status, problem, retryAfterMs(response.headers.get("Retry-After")));
  }
}

/** Resolves when the connection is over or the signal is aborted; rejects with Refused or a network error. */
export type Read = (source: Source, sink: Sink, signal: AbortSignal) => Promise<void>;

export const NOTHING_MORE = 204;
const NAMES = ["delta", "done", "failure"];

export const READERS: Record<Transport, Read> = {
  eventsource: byEventSource,
  fetch: byFetch,
  websocket: byWebSocket,
};

export function isAvailable(transport: Transport): boolean {
  const needed = { eventsource: "EventSource", fetch: "ReadableStream", websocket: "WebSocket" };
  return needed[transport] in globalThis;
}

function eventsUrl({ base, streamUrl, lastId }: Source): string {
  const from = lastId && `&last_event_id=${encodeURIComponent(lastId)}`;
  return `${base}${streamUrl}${from}`;
}

function byEventSource(source: Source, sink: Sink, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const events = new EventSource(eventsUrl(source));
    const over = () => {
      events.close();
      signal.removeEventListener("abort", over);
      resolve();
    };
    signal.addEventListener("abort", over);
    events.onopen = () => sink.opened();
    // CLOSED is an answer other than an event stream, and which one it was the browser does not say.
    events.onerror = () => (events.readyState === EventSource.CLOSED ? over() : sink.broken());
    for (const name of NAMES) {
      events.addEventListener(name, ({ data, lastEventId }: MessageEvent<string>) => {
        if (!taken(sink, name, data, lastEventId)) over();
      });
    }
  });
}

async function byFetch(source: Source, sink: Sink, signal: AbortSignal): Promise<void> {
  const headers = { Accept: "text/event-stream" };
  const response = await fetch(eventsUrl(source), { headers, signal, cache: "no-store" });
  if (response.status !== 200 || response.body === null) throw await Refused.from(response);
  sink.opened();
  const parser = new SseParser(source.lastId);
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    sink.alive();
    for (const { name, data, lastId } of parser.feed(value)) {
      if (NAMES.includes(name) && !taken(sink, name, data, lastId)) return reader.cancel();
    }
  }
}

function byWebSocket(source: Source, sink: Sink, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const url = new URL(`${source.base}/chat/ws`, globalThis.location?.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    let lastId = source.lastId;
    const over = () => {
      socket.close();
      signal.removeEventListener("abort", over);
      resolve();
    };
    signal.addEventListener("abort", over);
    socket.onopen = () => {
      const { sessionId, ticket } = source;
      const last = source.lastId || null;
      socket.send(JSON.stringify({ session_id: sessionId, ticket, last_event_id: last }));
      sink.opened();
    };
    socket.onclose = over;
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      const message = parsed(data) as { id: string | null; event: string; data: unknown } | null;
      sink.alive();
      if (message && !NAMES.includes(message.event)) return;
      lastId = message?.id ?? lastId;
      if (!message || !sink.take({ name: message.event, data: message.data, lastId })) over();
    };
  });
}

/** Data that is no JSON ends the connection: the next one asks for that event again. */
function taken(sink: Sink, name: string, data: string, lastId: string): boolean {
  const value = parsed(data);
  return value !== null && sink.take({ name, data: value, lastId });
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return null;
  }
}
