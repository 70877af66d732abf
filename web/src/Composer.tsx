import { useEffect, useRef, type KeyboardEvent, type ReactNode, type SubmitEvent } from "react";

export interface ComposerProps {
  readonly prompt: string;
  readonly onPrompt: (prompt: string) => void;
  /** Null as long as no stack has asked for a key. It is kept in memory only. */
  readonly apiKey: { readonly value: string; readonly onChange: (key: string) => void } | null;
  readonly isReady: boolean;
  /** Whether only the streaming stack is asked. */
  readonly isAlone: boolean;
  readonly isOpen: boolean;
  readonly onSend: () => void;
  readonly onStop: () => void;
}

export function Composer(props: ComposerProps): ReactNode {
  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault();
    props.onSend();
  }

  function sendByKeys(event: KeyboardEvent<HTMLTextAreaElement>): void {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.currentTarget.form?.requestSubmit();
  }

  return (
    <form className="composer" onSubmit={submit}>
      <label htmlFor="prompt">Prompt</label>
      <textarea
        id="prompt"
        data-testid="prompt"
        rows={2}
        required
        value={props.prompt}
        onChange={(event) => props.onPrompt(event.target.value)}
        onKeyDown={sendByKeys}
        aria-describedby="keys"
      />
      {props.apiKey && <KeyField {...props.apiKey} />}
      <div className="actions">
        <button className="send" data-testid="send" disabled={!props.isReady}>
          {props.isAlone ? "Send" : "Send to both"}
        </button>
        <button
          type="button"
          className="stop"
          data-testid="stop"
          // Not `disabled`, which would take the focus away when an answer ends.
          aria-disabled={!props.isOpen}
          onClick={() => props.isOpen && props.onStop()}
        >
          Stop
        </button>
        <p id="keys" className="keys">
          <kbd>Ctrl</kbd> or <kbd>⌘</kbd> with <kbd>Enter</kbd> sends
        </p>
      </div>
    </form>
  );
}

function KeyField({ value, onChange }: NonNullable<ComposerProps["apiKey"]>): ReactNode {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <div className="key">
      <label htmlFor="key">API key</label>
      <input
        ref={field}
        id="key"
        data-testid="key"
        type="password"
        autoComplete="off"
        value={value}
        onChange={(event) => onChange(event.target.value)}
        aria-describedby="key-note"
      />
      <p id="key-note">The service asks for a key. It stays on this page until you leave it.</p>
    </div>
  );
}
