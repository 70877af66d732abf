// The two calls around a stream: POST buys an answer or finds it again, DELETE ends it.

import { Refused } from "./transports.ts";

/** The body of a ChatRequest: exactly one of prompt and messages. */
export interface ChatRequest {
  readonly prompt?: string;
  readonly messages?: readonly { role: "system" | "user" | "assistant"; content: string }[];
  readonly model?: string;
  readonly max_tokens?: number;
  readonly temperature?: number;
}

export interface Session {
  readonly session_id: string;
  readonly ticket: string;
  readonly stream_url: string;
}

export interface Server {
  /** Origin and path prefix of the service, without a slash at the end; empty for the page's own. */
  readonly url: string;
  /** For POST and DELETE, which take the user's key; the stream itself takes the ticket. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The session of this key, with a fresh ticket; the first call makes it. Rejects with Refused or a network error. */
export async function openSession(
  server: Server,
  body: string,
  key: string,
  signal: AbortSignal,
): Promise<Session> {
  const headers = {
    ...server.headers,
    "Content-Type": "application/json",
    "Idempotency-Key": key,
  };
  const response = await fetch(`${server.url}/chat/sessions`, {
    method: "POST",
    headers,
    body,
    signal,
  });
  if (!response.ok) throw await Refused.from(response);
  return (await response.json()) as Session;
}

/** Asks the server to stop generating; where the request is lost, the server's grace does it. */
export function endSession(server: Server, sessionId: string): void {
  const url = `${server.url}/chat/sessions/${encodeURIComponent(sessionId)}`;
  const options = { method: "DELETE", headers: server.headers, keepalive: true };
  fetch(url, options).catch(() => undefined);
}

/** 128 random bits; crypto.randomUUID is not there on a page that came by plain http. */
export function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
