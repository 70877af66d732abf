// A service of sessions whose streams are written by the test, on a real socket.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What one GET of the stream is answered with. */
export type Play = (response: ServerResponse) => void;

export interface Asked {
  readonly key: string;
  readonly body: string;
  readonly authorization: string | undefined;
}

export interface Service {
  readonly url: string;
  readonly posts: Asked[];
  /** The last_event_id of each GET, empty without one. */
  readonly gets: string[];
  readonly deletes: string[];
}

/** Runs the test against a service that answers each GET by the next play, and the first POSTs by `posted`. */
export async function against(
  plays: readonly Play[],
  run: (service: Service) => Promise<void>,
  posted: Play[] = [],
): Promise<void> {
  const left = [...plays];
  const service = { url: "", posts: [] as Asked[], gets: [] as string[], deletes: [] as string[] };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", "http://service");
    if (request.method === "POST") {
      const { authorization, "idempotency-key": key } = request.headers;
      service.posts.push({ key: String(key), body: await body(request), authorization });
      (posted.shift() ?? issue(`t${service.posts.length}`))(response);
    } else if (request.method === "DELETE") {
      service.deletes.push(`${url.pathname} ${request.headers.authorization}`);
      response.writeHead(204).end();
    } else {
      service.gets.push(url.searchParams.get("last_event_id") ?? "");
      (left.shift() ?? status(500))(response);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  service.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await run(service);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function body(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

export function issue(ticket: string, session = "s1"): Play {
  const stream_url = `/chat/sessions/${session}/events?ticket=${ticket}`;
  const answer = JSON.stringify({ session_id: session, ticket, stream_url });
  return (response) => response.writeHead(201, { "Content-Type": "application/json" }).end(answer);
}

export function status(code: number, error = "refused", headers: Record<string, string> = {}): Play {
  const text = JSON.stringify({ error: { code: error, message: `It says ${error}.` } });
  return (response) => response.writeHead(code, headers).end(code === 204 ? "" : text);
}

/** Frames, and then the end of the connection, unless it is to stay open. */
export function stream(frames: readonly string[], after: "close" | "cut" | "stay" = "close"): Play {
  return (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write(frames.join(""), () => {
      if (after === "close") response.end();
      else if (after === "cut") response.destroy();
    });
  };
}

export function delta(id: string, text: string): string {
  return `id: ${id}\nevent: delta\ndata: ${JSON.stringify({ text })}\n\n`;
}

export function done(id: string): string {
  const usage = { prompt_tokens: 1, completion_tokens: 4 };
  return `id: ${id}\nevent: done\ndata: ${JSON.stringify({ id: "a", usage })}\n\n`;
}

export function failure(code: string, retryable: boolean, id?: string): string {
  const data = JSON.stringify({ code, message: `It says ${code}.`, request_id: "r", retryable });
  return `${id ? `id: ${id}\n` : ""}event: failure\ndata: ${data}\n\n`;
}
