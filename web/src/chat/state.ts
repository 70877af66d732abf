// What a reader of an answer sees of it, and what it may set.

import type { Problem, Transport } from "./transports.ts";

export type Phase =
  | "idle"
  | "connecting"
  | "streaming"
  | "reconnecting"
  | "done"
  | "failed"
  | "stopped";

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

/** A snapshot; times are those of `performance.now()`, null for what has not happened. */
export interface ChatState {
  readonly phase: Phase;
  readonly text: string;
  /** Connections in vain since the last event. */
  readonly attempt: number;
  readonly offline: boolean;
  readonly transport: Transport | null;
  /** Why it failed, or what it is reconnecting after. */
  readonly problem: Problem | null;
  /** Null where the provider does not count. */
  readonly usage: Usage | null;
  readonly startedAt: number | null;
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  readonly endedAt: number | null;
}

export interface ChatStreamOptions {
  /** Origin and path prefix of the service; empty for the page's own. */
  readonly url?: string;
  /** For the calls that take a key: `{ Authorization: "Bearer ..." }`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Tried in this order; the next one after two connections that brought nothing. */
  readonly transports?: readonly Transport[];
  /** Longest time without an event; longer than the server waits for a first token. */
  readonly giveUpAfterMs?: number;
}

export interface AskOptions {
  /** Idempotency-Key: who asks again after a reload names the answer by it. */
  readonly key?: string;
  /** Of this answer alone, such as X-Request-ID. */
  readonly headers?: Readonly<Record<string, string>>;
}

export const IDLE: ChatState = {
  phase: "idle",
  text: "",
  attempt: 0,
  offline: false,
  transport: null,
  problem: null,
  usage: null,
  startedAt: null,
  firstAt: null,
  lastAt: null,
  endedAt: null,
};
