import { useRef, useState } from "react";
import { BLANK, type Answer } from "./answer.ts";
import { Refused } from "./chat/transports.ts";

interface Reply {
  readonly text: string;
  readonly usage: { readonly completion_tokens: number } | null;
}

export interface Batch extends Answer {
  readonly start: (prompt: string, headers: Readonly<Record<string, string>>) => void;
  readonly stop: () => void;
}

/** Asks the batch stack: nothing to read until the whole answer is there. */
export function useBatch(url: string | null): Batch {
  const [answer, setAnswer] = useState(BLANK);
  const under = useRef<AbortController | null>(null);

  function start(prompt: string, headers: Readonly<Record<string, string>>): void {
    if (url === null) return;
    under.current?.abort();
    const asked = (under.current = new AbortController());
    setAnswer({ ...BLANK, phase: "waiting", startedAt: performance.now() });
    const settle = (change: Partial<Answer>, endedAt: number = performance.now()) => {
      if (under.current !== asked) return;
      under.current = null;
      setAnswer((before) => ({ ...before, ...change, endedAt }));
    };
    ask(url, prompt, headers, asked.signal).then(
      ({ text, usage }) => {
        const now = performance.now();
        settle({ phase: "done", text, usage, firstAt: now, lastAt: now }, now);
      },
      (error: unknown) => settle(asked.signal.aborted ? { phase: "stopped" } : failed(error)),
    );
  }

  return { ...answer, start, stop: () => under.current?.abort() };
}

async function ask(
  url: string,
  prompt: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Reply> {
  const response = await fetch(`${url}/chat`, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify({ prompt }),
    signal,
  });
  if (!response.ok) throw await Refused.from(response);
  return (await response.json()) as Reply;
}

function failed(error: unknown): Partial<Answer> {
  const unreachable = { code: "network", message: "The batch stack cannot be reached." };
  return { phase: "failed", problem: error instanceof Refused ? error.problem : unreachable };
}
