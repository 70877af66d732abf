import type { ReactNode } from "react";

const WIDTH = 1000;

export interface StripProps {
  /** Seconds; both panes are drawn to the scale of the longest. */
  readonly first: number | null;
  readonly total: number | null;
  readonly longest: number;
}

/** The course of an answer: a thin line while there is nothing to read, a bar from its first content on. */
export function Strip({ first, total, longest }: StripProps): ReactNode {
  const scale = longest > 0 ? WIDTH / longest : 0;
  const end = (total ?? 0) * scale;
  const begin = Math.min(end, (first ?? total ?? 0) * scale);
  // A batch answer has no course: it is there at once, as a mark at its end.
  const width = first === null ? 0 : Math.max(end - begin, WIDTH / 150);
  return (
    <svg className="strip" viewBox={`0 0 ${WIDTH} 12`} preserveAspectRatio="none" aria-hidden="true">
      <rect className="scale" y="5.5" width={WIDTH} height="1" />
      <rect className="wait" y="4" width={begin} height="4" />
      <rect className="content" x={Math.min(begin, WIDTH - width)} width={width} height="12" />
    </svg>
  );
}
