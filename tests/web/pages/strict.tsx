// Answers asked for as soon as a component is there. StrictMode mounts it twice: the hook asks once, an effect twice.

import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { useChatStream } from "chat/useChatStream.ts";

const PROMPT = "Asked in an effect.";
let mounts = 0;

function Hooked() {
  const { phase, text, start } = useChatStream();
  useEffect(() => start(PROMPT), [start]);
  return (
    <>
      <output data-testid="stream-state" data-state={phase} />
      <output data-testid="stream-answer">{text}</output>
    </>
  );
}

function Naive() {
  useEffect(() => {
    mounts += 1;
    void ask(`naive-${mounts}`);
  }, []);
  return null;
}

async function ask(requestId: string): Promise<void> {
  const headers = { "Content-Type": "application/json", "X-Request-ID": requestId };
  const body = JSON.stringify({ prompt: PROMPT });
  const response = await fetch("/chat/sessions", { method: "POST", headers, body });
  const { stream_url } = (await response.json()) as { stream_url: string };
  const events = new EventSource(stream_url);
  events.addEventListener("done", () => events.close());
}

createRoot(document.body.appendChild(document.createElement("div"))).render(
  <StrictMode>
    <Hooked />
    <Naive />
  </StrictMode>,
);
