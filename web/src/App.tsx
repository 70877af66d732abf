import { useState, type ReactNode } from "react";
import { isOpen, type Answer } from "./answer.ts";
import { freshKey } from "./chat/sessions.ts";
import { TRANSPORTS, type Transport } from "./chat/transports.ts";
import { useChatStream } from "./chat/useChatStream.ts";
import { Composer } from "./Composer.tsx";
import { Panes } from "./Panes.tsx";
import { useBatch } from "./useBatch.ts";
import { useLegacyUrl } from "./useLegacyUrl.ts";

const EXAMPLE = "Explain why an answer that streams feels faster than one that arrives whole.";

export function App(): ReactNode {
  const [prompt, setPrompt] = useState(EXAMPLE);
  const [key, setKey] = useState("");
  const headers: Record<string, string> = key ? { Authorization: `Bearer ${key}` } : {};
  const legacyUrl = useLegacyUrl();
  const batch = useBatch(legacyUrl ?? null);
  const [transports] = useState(chosenTransports);
  const stream = useChatStream({ headers, transports });
  const needsKey = useNeedsKey([batch, stream]);

  function send(): void {
    // One id for both, by which the logs of the stacks, and a simulated provider, know the two for the same request.
    const id = { "X-Request-ID": freshKey() };
    batch.start(prompt, { ...headers, ...id });
    stream.start(prompt, { headers: id });
  }

  function stop(): void {
    batch.stop();
    stream.stop();
  }

  return (
    <>
      <header className="masthead">
        <h1>One prompt, two deliveries</h1>
        <p>The batch stack answers once it has finished. The streaming stack answers as it goes.</p>
      </header>
      <main>
        <Composer
          prompt={prompt}
          onPrompt={setPrompt}
          apiKey={needsKey ? { value: key, onChange: setKey } : null}
          isReady={legacyUrl !== undefined}
          isAlone={legacyUrl === null}
          isOpen={isOpen(batch) || isOpen(stream)}
          onSend={send}
          onStop={stop}
        />
        <Panes batch={batch} stream={stream} hasLegacy={legacyUrl !== null} />
      </main>
    </>
  );
}

/** Whether a stack has asked for a key; once it has, the field stays. */
function useNeedsKey(answers: readonly Answer[]): boolean {
  const [asked, setAsked] = useState(false);
  if (!asked && answers.some(({ problem }) => problem?.code === "unauthorized")) setAsked(true);
  return asked;
}

/** `?transport=fetch` leaves no other. */
function chosenTransports(): readonly Transport[] {
  const name = new URLSearchParams(location.search).get("transport");
  const chosen = TRANSPORTS.filter((transport) => transport === name);
  return chosen.length > 0 ? chosen : TRANSPORTS;
}
