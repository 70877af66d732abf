import type { Phase } from "./chat/state.ts";

/** What a pane shows, however its answer was delivered; times are those of `performance.now()`. */
export interface Answer {
  readonly phase: Phase | "waiting";
  readonly text: string;
  readonly attempt: number;
  readonly offline: boolean;
  readonly problem: { readonly code: string; readonly message: string } | null;
  readonly startedAt: number | null;
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  readonly endedAt: number | null;
  readonly usage: { readonly completion_tokens: number } | null;
}

export const BLANK: Answer = {
  phase: "idle",
  text: "",
  attempt: 0,
  offline: false,
  problem: null,
  startedAt: null,
  firstAt: null,
  lastAt: null,
  endedAt: null,
  usage: null,
};

/** Whether it still goes on. */
export function isOpen({ startedAt, endedAt }: Answer): boolean {
  return startedAt !== null && endedAt === null;
}

/** In seconds, of what goes on now or has ended; null where nothing was asked. */
export function elapsed({ startedAt, endedAt }: Answer, now: number): number | null {
  return startedAt === null ? null : Math.max(0, (endedAt ?? now) - startedAt) / 1000;
}

/** Seconds until content could be read; null as long as there is none. */
export function firstContent({ startedAt, firstAt }: Answer): number | null {
  return startedAt === null || firstAt === null ? null : (firstAt - startedAt) / 1000;
}

/** The state in words. */
export function described({ phase, attempt, offline, problem }: Answer): string {
  if (phase === "failed") return `failed: ${problem?.message ?? "the reason is not known"}`;
  if (phase !== "connecting" && phase !== "streaming" && phase !== "reconnecting") return phase;
  const tries = attempt > 0 ? `${phase}, attempt ${attempt}` : phase;
  return offline ? `${tries}: this device is offline` : tries;
}

/**
 * How fast content came. Tokens are known at the end, as the provider counted them; until then it is characters.
 * A batch answer takes its whole time to come, a stream the time from its first content to its last.
 */
export function rate(answer: Answer, from: number | null): { value: number; unit: string } | null {
  const { usage, text, lastAt } = answer;
  if (from === null || lastAt === null || lastAt <= from) return null;
  const seconds = (lastAt - from) / 1000;
  if (usage) return { value: usage.completion_tokens / seconds, unit: "tokens/s" };
  return { value: text.length / seconds, unit: "characters/s" };
}
