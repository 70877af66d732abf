import { useEffect, useState, useSyncExternalStore } from "react";
import { ChatStream } from "./chatStream.ts";
import { IDLE, type ChatState, type ChatStreamOptions } from "./state.ts";

export type UseChatStream = ChatState & Pick<ChatStream, "start" | "stop">;

/** Streams one answer at a time. Leaving the page closes the connection; StrictMode's remount changes nothing. */
export function useChatStream(options: ChatStreamOptions = {}): UseChatStream {
  const [stream] = useState(() => new ChatStream(options));
  useEffect(() => stream.configure(options));
  const state = useSyncExternalStore(stream.subscribe, stream.state, () => IDLE);
  return { ...state, start: stream.start, stop: stream.stop };
}
