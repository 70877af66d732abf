import { elapsed, firstContent, type Answer } from "./answer.ts";

/** The two answers compared, once both are there. */
export function verdict(batch: Answer, stream: Answer): string {
  if (batch.phase !== "done" || stream.phase !== "done") return "";
  const first = difference(firstContent(batch), firstContent(stream));
  const total = difference(elapsed(batch, 0), elapsed(stream, 0));
  const text = batch.text === stream.text ? "The text is the same." : "The two texts differ.";
  return `Streamed, there was something to read ${first}, and the whole answer ${total}. ${text}`;
}

function difference(batch: number | null, stream: number | null): string {
  const seconds = (batch ?? 0) - (stream ?? 0);
  return `${Math.abs(seconds).toFixed(2)} s ${seconds < 0 ? "later" : "sooner"}`;
}
