import { memo, useLayoutEffect, useRef, type ReactNode } from "react";

const NEAR_PX = 24;

export interface TranscriptProps {
  readonly testId: string;
  readonly label: string;
  readonly text: string;
  readonly isBusy: boolean;
}

/** The answer; it follows its end as long as the reader has not scrolled away from it. */
export const Transcript = memo(function Transcript(props: TranscriptProps): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const shown = useRef("");

  useLayoutEffect(() => {
    const before = shown.current;
    shown.current = props.text;
    if (props.text === "") follows.current = true;
    // What comes whole is read from its beginning.
    else if (box.current && before && follows.current) box.current.scrollTop = box.current.scrollHeight;
  }, [props.text]);

  return (
    <div
      ref={box}
      className="answer"
      data-testid={props.testId}
      role="log"
      aria-label={props.label}
      // A busy log is read out once it rests, not token by token.
      aria-busy={props.isBusy}
      tabIndex={0}
      onScroll={({ currentTarget: at }) => {
        follows.current = at.scrollHeight - at.scrollTop - at.clientHeight < NEAR_PX;
      }}
    >
      {props.text}
    </div>
  );
});
