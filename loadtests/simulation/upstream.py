"""The simulated upstream's routes: requests become answers, and what became of them is counted."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.profiles import (
    ARTICLE,
    PROFILES,
    Profile,
    cacheable_prefix,
    paused,
    write_script,
)
from loadtests.simulation import faults, wire
from loadtests.simulation.answers import Answer, Call
from loadtests.simulation.batch_answer import BatchAnswer
from loadtests.simulation.chat_body import (
    BadBody,
    ChatBody,
    Mode,
    UnknownModel,
    parse_body,
    parse_model,
)
from loadtests.simulation.connection import Connection, Request
from loadtests.simulation.pacing import Capacity, Pacer
from loadtests.simulation.stream_answer import StreamAnswer
from loadtests.simulation.timeline import Counters, Entry, Timeline

JSON = "application/json"
_PREFIXES_KEPT = 65_536


@dataclass(frozen=True, slots=True)
class Options:
    """Port 0 is any free one, capacity 0 no limit, a send buffer of 0 bytes the kernel's choice."""

    profile: Profile = ARTICLE
    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 7
    capacity: int = 0
    fault: str = faults.NONE
    fault_rate: float = 1.0
    send_buffer: int = 0


class Upstream:
    """Routes requests to answers and counts what became of them."""

    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self.pacer = Pacer(loop)
        self._options = options
        self._capacity = Capacity(options.capacity)
        self._timeline = Timeline()
        self._counters = Counters()
        self._connections: set[Connection] = set()
        self._in_flight = 0
        self._nameless = 0
        self._cpu_before = 0.0
        self._prefix_owners: dict[str, str] = {}
        self._failed_once: set[str] = set()

    def connection(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self.handle, self._connections)

    def handle(self, request: Request, connection: Connection) -> None:
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                self._chat(request, connection)
            case "GET", "/v1/models":
                names = ("sim", *(f"sim:{name}" for name in PROFILES))
                connection.respond(200, wire.encode(wire.models(names)), JSON)
            case "GET", "/control/timeline":
                connection.respond_slices(self._timeline.drain(), "application/x-ndjson")
            case "GET", "/control/stats":
                connection.respond(200, wire.encode(self._stats("reset" in request.query)), JSON)
            case _:
                refused = faults.refusal(
                    404, f"Unknown: {request.method} {request.path}", "invalid_request_error"
                )
                connection.respond(refused.status, refused.body, refused.content_type)

    def ended(self, answer: Answer, late_ns: Sequence[int]) -> None:
        self._in_flight -= 1
        self._record(answer.entry, late_ns)
        if answer.begun:
            self._capacity.leave()

    def _record(self, entry: Entry, late_ns: Sequence[int] = ()) -> None:
        self._timeline.add(entry)
        self._counters.count(entry, late_ns)

    def _chat(self, request: Request, connection: Connection) -> None:
        entry = Entry(self._request_id(request), stream=False, received_ns=request.received_ns)
        try:
            body = parse_body(request.body)
            entry.stream = bool(body.stream)
            mode = self._mode(body, entry.request_id)
        except BadBody as error:
            refusal = faults.refusal(400, str(error), "invalid_request_error")
            self._refuse(refusal, entry, connection)
        except UnknownModel as error:
            refusal = faults.refusal(404, str(error), "invalid_request_error", "model_not_found")
            self._refuse(refusal, entry, connection)
        else:
            if provoked := faults.REFUSALS.get(self._attempt(mode.fault, entry.request_id)):
                self._refuse(provoked, entry, connection)
            else:
                self._answer(body, mode, entry, connection)

    def _request_id(self, request: Request) -> str:
        self._nameless += 1
        return request.headers.get("x-request-id") or f"sim-{self._nameless:06d}"

    def _mode(self, body: ChatBody, request_id: str) -> Mode:
        options = self._options
        struck = faults.strikes(options.seed, request_id, options.fault, options.fault_rate)
        return parse_model(
            body.model, Mode(options.profile, options.fault if struck else faults.NONE)
        )

    def _attempt(self, fault: str, request_id: str) -> str:
        """`500-once` is a 500 the first time that a request id comes, and no fault after it."""
        if fault != faults.ONCE or request_id in self._failed_once:
            return fault
        self._failed_once.add(request_id)
        return "500"

    def _refuse(self, refusal: faults.Refusal, entry: Entry, connection: Connection) -> None:
        entry.status = refusal.status
        self._record(entry)
        connection.respond(refusal.status, refusal.body, refusal.content_type, refusal.headers)

    def _answer(self, body: ChatBody, mode: Mode, entry: Entry, connection: Connection) -> None:
        prompt, seed, profile = body.prompt, self._options.seed, mode.profile
        cached = self._prefix_seen(profile, prompt, entry.request_id)
        limit = None if mode.fault == faults.OVERRUN else body.limit
        script = write_script(seed, entry.request_id, profile, prompt, limit, cached=cached)
        if mode.pause_ns:
            script = paused(script, mode.pause_ns)
        entry.planned = len(script.pieces)
        entry.prompt_tokens, entry.cached_tokens = script.prompt_tokens, script.cached_tokens
        call = Call(
            f"chatcmpl-{entry.request_id}", body.model, script, mode.fault, body.include_usage
        )
        kind = StreamAnswer if entry.stream else BatchAnswer
        answer = connection.answer = kind(call, entry, connection, self)
        self._in_flight += 1
        self._capacity.enter(answer.begin, entry.received_ns)

    def _prefix_seen(self, profile: Profile, prompt: str, request_id: str) -> bool:
        """Whether another request brought this prefix first; the first stays cold when it is sent again."""
        prefix = cacheable_prefix(profile, prompt)
        if prefix is None:
            return False
        if len(self._prefix_owners) >= _PREFIXES_KEPT:
            self._prefix_owners.clear()
        return self._prefix_owners.setdefault(prefix, request_id) != request_id

    def _stats(self, reset: bool) -> dict[str, object]:
        counters, cpu_s = self._counters, time.process_time()
        stats = {
            "in_flight": self._in_flight,
            "requests": counters.requests,
            "tokens_written": counters.tokens_written,
            "tokens_after_disconnect": counters.tokens_after_disconnect,
            "deadline_miss_ms": counters.lateness.distribution(),
            "cpu_s": cpu_s - self._cpu_before,
            "open_connections": len(self._connections),
        }
        if reset:
            self._counters, self._cpu_before = Counters(), cpu_s
        return stats
