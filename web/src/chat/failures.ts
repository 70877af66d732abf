import type { Problem } from "./transports.ts";

/** The data of a `failure` event. */
export interface Failure extends Problem {
  readonly retryable: boolean;
}

/** What a reader does next: go on, read the session again, ask anew, or give up. */
export type Remedy = "continue" | "reread" | "renew" | "stopped" | "fail";

export interface Reading {
  /** Whether the failure is an event of the answer, with an id: then the answer itself has ended. */
  readonly ended: boolean;
  readonly hasText: boolean;
  /** How often this answer was begun again. */
  readonly rereads: number;
  readonly renewals: number;
}

const MOST_RENEWALS = 2;

/** An answer that broke off is bought again only where nothing of it was read, or nobody stopped to read it. */
export function remedy(failure: Failure, reading: Reading): Remedy {
  const renewable = reading.renewals < MOST_RENEWALS;
  if (failure.code === "stopped") return "stopped";
  if (failure.code === "gap") return reading.rereads === 0 ? "reread" : renewable ? "renew" : "fail";
  if (!reading.ended) return failure.retryable || failure.code === "ticket_refused" ? "continue" : "fail";
  const lost = failure.retryable && (!reading.hasText || failure.code === "abandoned");
  return lost && renewable ? "renew" : "fail";
}

const PASSING = [408, 425, 429, 500, 502, 503, 504];

/** Whether the same request may be answered later; a refused ticket is replaced by the next POST. */
export function isPassing(status: number, code: string): boolean {
  return PASSING.includes(status) || code === "ticket_refused";
}
