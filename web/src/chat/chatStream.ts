// One answer at a time, read from a resumable session: no framework, no character twice, none lost.

import { backoffMs, pause } from "./backoff.ts";
import { isPassing, remedy, type Failure, type Remedy } from "./failures.ts";
import { LastId } from "./lastId.ts";
import {
  endSession,
  freshKey,
  openSession,
  type ChatRequest,
  type Server,
  type Session,
} from "./sessions.ts";
import {
  IDLE,
  type AskOptions,
  type ChatState,
  type ChatStreamOptions,
  type Usage,
} from "./state.ts";
import {
  isAvailable,
  NOTHING_MORE,
  READERS,
  Refused,
  TRANSPORTS,
  type Problem,
  type Sink,
  type Source,
  type Transport,
  type WireEvent,
} from "./transports.ts";

const GIVE_UP_MS = 120_000;
const OPEN_MS = 15_000; // for a server to answer, or a browser to connect again by itself
const SILENCE_MS = 45_000; // three heartbeats of the server, which an EventSource does not show
const ONLINE_SPREAD_MS = 500; // of the clients that a network brings back at once
const IN_VAIN = 2;

const NETWORK: Problem = { code: "network", message: "The server cannot be reached." };
const CUT: Problem = { code: "cut", message: "The connection was lost." };
const ENDED: Problem = { code: "ended", message: "The answer is over, and none of it was read." };

/** What was asked, and how far reading it has come. */
class Run {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  key: string;
  session: Session | null = null;
  lastId = new LastId();
  opened = false;
  events = 0;
  /** Why the last connection has ended. */
  problem = CUT;
  rereads = 0;
  renewals = 0;
  newsAt = performance.now();

  constructor(body: string, key: string, headers: Readonly<Record<string, string>>) {
    this.body = body;
    this.key = key;
    this.headers = headers;
  }

  isThat(body: string, key: string | undefined): boolean {
    return key === undefined ? body === this.body && this.session === null : key === this.key;
  }
}

/** Ends a step that is silent for longer than it may be. */
class Watchdog {
  #step: AbortController;
  #timer: ReturnType<typeof setTimeout>;

  constructor(step: AbortController) {
    this.#step = step;
    this.#timer = setTimeout(() => step.abort(), OPEN_MS);
  }

  allow(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#step.abort(), ms);
  }

  rest(): void {
    clearTimeout(this.#timer);
  }
}

export class ChatStream {
  #options: ChatStreamOptions;
  #state = IDLE;
  #run: Run | null = null;
  #loop = new AbortController(); // reading as a whole
  #step = new AbortController(); // one connection, or one pause between two
  #online = false; // the step was ended because the network is back
  #inVain = 0; // connections without an event, one after the other
  #turn = 0; // among the transports
  #listeners = new Set<() => void>();

  constructor(options: ChatStreamOptions = {}) {
    this.#options = options;
  }

  /** The state now; another object after each change. */
  readonly state = (): ChatState => this.#state;

  /** Calls the listener after each change. When the last one leaves, reading rests until one comes back. */
  readonly subscribe = (listener: () => void): (() => void) => {
    if (this.#listeners.size === 0) this.#watchNetwork(true);
    this.#listeners.add(listener);
    if (this.#run && this.#loop.signal.aborted) void this.#read(this.#run);
    return () => {
      this.#listeners.delete(listener);
      // A remount comes at once, as in StrictMode, and finds the connection as it was.
      setTimeout(() => this.#listeners.size === 0 && this.#rest());
    };
  };

  /** Takes effect at the next call. */
  configure(options: ChatStreamOptions): void {
    this.#options = options;
  }

  /**
   * Asks; whatever was under way is left. The same key twice is the same answer, and so is the same request before
   * the first was answered, as StrictMode and a double click make it: it is bought once.
   */
  readonly start = (request: ChatRequest | string, { key, headers }: AskOptions = {}): void => {
    const body = JSON.stringify(typeof request === "string" ? { prompt: request } : request);
    if (this.#run?.isThat(body, key)) return;
    this.#loop.abort();
    this.#run = new Run(body, key ?? freshKey(), headers ?? {});
    this.#state = { ...IDLE, offline: this.#state.offline };
    this.#update({ phase: "connecting", startedAt: performance.now() });
    void this.#read(this.#run);
  };

  /** Ends the generation; the text stays. */
  readonly stop = (): void => {
    if (!this.#run) return;
    if (this.#run.session) endSession(this.#server(this.#run), this.#run.session.session_id);
    this.#end("stopped");
  };

  #server({ headers }: Run): Server {
    const { url = "", headers: always } = this.#options;
    return { url, headers: { ...always, ...headers } };
  }

  #update(change: Partial<ChatState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }

  #end(phase: "done" | "failed" | "stopped", change: Partial<ChatState> = {}): void {
    this.#run = null;
    this.#loop.abort();
    this.#update({ problem: null, attempt: 0, ...change, phase, endedAt: performance.now() });
  }

  #rest(): void {
    this.#watchNetwork(false);
    this.#loop.abort();
  }

  /** Connects until the answer has ended. */
  async #read(run: Run): Promise<void> {
    this.#loop = new AbortController();
    const { signal } = this.#loop;
    run.newsAt = performance.now();
    while (!signal.aborted) {
      run.problem = CUT;
      const refused = await this.#connect(run, signal).catch((error: unknown) => {
        run.problem = error instanceof Refused ? error.problem : NETWORK;
        return error instanceof Refused ? error : undefined;
      });
      if (signal.aborted || (refused && this.#isFinal(refused))) return;
      await this.#waitOut(run, refused?.retryAfterMs ?? 0, signal);
    }
  }

  #nextStep(loop: AbortSignal): AbortSignal {
    this.#step = new AbortController();
    return AbortSignal.any([loop, this.#step.signal]);
  }

  /** One POST, for the session and a fresh ticket, and one connection; a step that is silent for too long ends. */
  async #connect(run: Run, loop: AbortSignal): Promise<void> {
    const signal = this.#nextStep(loop);
    const watchdog = new Watchdog(this.#step);
    const before = run.events;
    try {
      const session = await openSession(this.#server(run), run.body, run.key, signal);
      signal.throwIfAborted();
      this.#adopt(run, session);
      const transport = this.#transport();
      this.#update({ transport });
      const read = READERS[transport](this.#source(run, session), this.#sink(run, watchdog), signal);
      await read.finally(() => run.events > before || loop.aborted || this.#countInVain());
    } finally {
      watchdog.rest();
    }
  }

  /** A server that has forgotten the session has made another, which begins at its beginning. */
  #adopt(run: Run, session: Session): void {
    if (run.session && run.session.session_id !== session.session_id) this.#drop(run);
    run.session = session;
  }

  #source(run: Run, { session_id, ticket, stream_url }: Session): Source {
    const lastId = run.lastId.value;
    return { base: this.#server(run).url, sessionId: session_id, ticket, streamUrl: stream_url, lastId };
  }

  #sink(run: Run, watchdog: Watchdog): Sink {
    return {
      opened: () => {
        watchdog.allow(SILENCE_MS);
        this.#opened(run);
      },
      alive: () => watchdog.allow(SILENCE_MS),
      broken: () => {
        watchdog.allow(OPEN_MS);
        this.#lost(run);
      },
      take: (event) => {
        watchdog.allow(SILENCE_MS);
        return this.#take(run, event);
      },
    };
  }

  #countInVain(): void {
    this.#inVain++;
    if (this.#inVain === IN_VAIN) {
      this.#inVain = 0;
      this.#turn++;
    }
  }

  /** The next one in order for each two connections in vain, and after the last the first again. */
  #transport(): Transport {
    const usable = (this.#options.transports ?? TRANSPORTS).filter(isAvailable);
    return usable[this.#turn % usable.length] ?? "fetch";
  }

  #opened(run: Run): void {
    run.opened = true;
    this.#update({ phase: this.#state.text ? "streaming" : "connecting", problem: null });
  }

  #lost(run: Run): void {
    const phase = run.opened ? "reconnecting" : "connecting";
    this.#update({ phase, problem: run.problem, attempt: this.#state.attempt + 1 });
  }

  /** False when this connection has brought its last event. */
  #take(run: Run, { name, data, lastId }: WireEvent): boolean {
    if (run !== this.#run) return false;
    const isNew = run.lastId.advance(lastId);
    if (name === "failure") return this.#failed(run, data as Failure, isNew);
    if (!isNew) return true;
    run.events++;
    this.#inVain = 0;
    run.newsAt = performance.now();
    if (name === "delta") this.#append((data as { text: string }).text);
    else if (name === "done") this.#end("done", { usage: (data as { usage: Usage | null }).usage });
    return name !== "done";
  }

  #append(text: string): void {
    const now = performance.now();
    this.#update({
      phase: "streaming",
      text: this.#state.text + text,
      attempt: 0,
      problem: null,
      firstAt: this.#state.firstAt ?? now,
      lastAt: now,
    });
  }

  #failed(run: Run, failure: Failure, ended: boolean): false {
    const { rereads, renewals } = run;
    const hasText = this.#state.text !== "";
    run.problem = failure;
    const next: Remedy = remedy(failure, { ended, hasText, rereads, renewals });
    if (next === "stopped") this.#end("stopped");
    else if (next === "fail") this.#end("failed", { problem: failure });
    else if (next === "reread") {
      run.rereads++;
      this.#drop(run);
    } else if (next === "renew") {
      run.renewals++;
      run.key = freshKey();
      run.session = null;
      this.#drop(run);
    }
    return false;
  }

  #drop(run: Run): void {
    run.lastId = new LastId();
    this.#update({ text: "", firstAt: null, lastAt: null });
  }

  /** Whether this refusal has ended the answer: connecting again would bring nothing else. */
  #isFinal({ status, problem, retryAfterMs }: Refused): boolean {
    if (status === NOTHING_MORE) {
      if (this.#state.text) this.#end("done");
      else this.#end("failed", { problem: ENDED });
    } else if (!isPassing(status, problem.code) || retryAfterMs > this.#patience) {
      this.#end("failed", { problem });
    }
    return this.#run === null;
  }

  get #patience(): number {
    return this.#options.giveUpAfterMs ?? GIVE_UP_MS;
  }

  async #waitOut(run: Run, atLeastMs: number, loop: AbortSignal): Promise<void> {
    if (performance.now() - run.newsAt > this.#patience) {
      this.#end("failed", { problem: run.problem });
      return;
    }
    this.#lost(run);
    const ms = Math.max(backoffMs(this.#state.attempt), atLeastMs);
    if (!this.#online) await pause(ms, this.#nextStep(loop));
    if (this.#online) await pause(Math.random() * ONLINE_SPREAD_MS, loop);
    this.#online = false;
  }

  #watchNetwork(on: boolean): void {
    const change = on ? "addEventListener" : "removeEventListener";
    globalThis[change]?.("online", this.#networkChanged);
    globalThis[change]?.("offline", this.#networkChanged);
    if (on && globalThis.navigator?.onLine === false) this.#state = { ...this.#state, offline: true };
  }

  /** Behind a time without network a connection may be dead in silence: with another address, nobody resets it. */
  #networkChanged = ({ type }: Event): void => {
    const wasOffline = this.#state.offline;
    this.#update({ offline: type === "offline" });
    if (this.#state.offline || !this.#run || !(wasOffline || this.#state.attempt)) return;
    this.#run.newsAt = performance.now();
    this.#online = true;
    this.#step.abort();
  };
}
