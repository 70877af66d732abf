import type { ReactNode } from "react";
import { described, elapsed, firstContent, isOpen, rate, type Answer } from "./answer.ts";
import { Figures } from "./Figures.tsx";
import { Strip } from "./Strip.tsx";
import { Transcript } from "./Transcript.tsx";
import { useNow } from "./useNow.ts";
import { verdict } from "./verdict.ts";

export interface PanesProps {
  readonly batch: Answer;
  readonly stream: Answer;
  readonly hasLegacy: boolean;
}

export function Panes({ batch, stream, hasLegacy }: PanesProps): ReactNode {
  const now = useNow(isOpen(batch) || isOpen(stream));
  const longest = Math.max(elapsed(batch, now) ?? 0, elapsed(stream, now) ?? 0);
  return (
    <>
      <div className="panes">
        <section className="pane" aria-labelledby="batch">
          <h2 id="batch">
            Batch <span>Flask</span>
          </h2>
          {hasLegacy ? <Pane name="batch" answer={batch} now={now} longest={longest} /> : <NoLegacy />}
        </section>
        <section className="pane streaming" aria-labelledby="stream">
          <h2 id="stream">
            Streaming <span>FastAPI</span>
          </h2>
          <Pane name="stream" answer={stream} now={now} longest={longest} />
        </section>
      </div>
      <p className="verdict" role="status" data-testid="verdict">
        {verdict(batch, stream)}
      </p>
    </>
  );
}

interface PaneProps {
  readonly name: "batch" | "stream";
  readonly answer: Answer;
  readonly now: number;
  readonly longest: number;
}

function Pane({ name, answer, now, longest }: PaneProps): ReactNode {
  const from = name === "batch" ? answer.startedAt : answer.firstAt;
  return (
    <>
      <p className="state" role="status" data-testid={`${name}-state`} data-state={answer.phase}>
        {described(answer)}
      </p>
      <Figures
        name={name}
        first={firstContent(answer)}
        total={elapsed(answer, now)}
        waits={isOpen(answer)}
        rate={rate(answer, from)}
      />
      <Strip first={firstContent(answer)} total={elapsed(answer, now)} longest={longest} />
      <Transcript
        testId={`${name}-answer`}
        label={name === "batch" ? "Batch answer" : "Streamed answer"}
        text={answer.text}
        isBusy={isOpen(answer)}
      />
    </>
  );
}

function NoLegacy(): ReactNode {
  return (
    <>
      <p className="state" data-testid="batch-state" data-state="idle">
        not configured
      </p>
      <p className="note">
        Start the streaming stack with <code>CHAT_LEGACY_URL</code> set to the address of the batch stack,
        and the batch stack with <code>CHAT_CORS_ORIGINS</code> set to the address of this page. Or run{" "}
        <code>make demo</code>, which does both.
      </p>
    </>
  );
}
