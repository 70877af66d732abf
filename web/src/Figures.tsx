import type { ReactNode } from "react";

export interface FiguresProps {
  readonly name: string;
  /** Seconds; null for what is not known yet. */
  readonly first: number | null;
  readonly total: number | null;
  readonly waits: boolean;
  readonly rate: { readonly value: number; readonly unit: string } | null;
}

/** The clocks of a pane: the first one runs until there is something to read. */
export function Figures({ name, first, total, waits, rate }: FiguresProps): ReactNode {
  const shown = first ?? (waits ? total : null);
  return (
    <dl className="figures">
      <Figure label="Time to first content" testId={`${name}-first`} value={seconds(shown)} unit="s" />
      <Figure label="Total" testId={`${name}-total`} value={seconds(total)} unit="s" />
      <Figure
        label="Rate"
        testId={`${name}-rate`}
        value={rate && rate.value.toFixed(1)}
        unit={rate?.unit ?? "tokens/s"}
      />
    </dl>
  );
}

interface FigureProps {
  readonly label: string;
  readonly testId: string;
  readonly value: string | null;
  readonly unit: string;
}

function Figure({ label, testId, value, unit }: FigureProps): ReactNode {
  return (
    <div>
      <dt>{label}</dt>
      <dd data-testid={testId}>{value === null ? <span>–</span> : <Quantity value={value} unit={unit} />}</dd>
    </div>
  );
}

function Quantity({ value, unit }: { readonly value: string; readonly unit: string }): ReactNode {
  return (
    <>
      {value} <span>{unit}</span>
    </>
  );
}

function seconds(value: number | null): string | null {
  return value === null ? null : value.toFixed(2);
}
