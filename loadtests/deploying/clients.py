"""Clients who keep asking while backends come and go: plain streams, and sessions that are come back to."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Literal

from loadtests.sse_reader import SseReader
from loadtests.streams import Asking, Taken, take

Kind = Literal["plain", "session"]
Ending = Literal["finished", "draining", "failed", "broken off", "refused"]

PATIENCE_S = 120.0
COMEBACKS = 5
REFUSED_PAUSE_S = 0.5
RETRY_MS = 3000
"""Of a browser that was told nothing."""
JSON = (("Content-Type", "application/json"),)


@dataclass(slots=True)
class Journey:
    """One answer as its client lived it; a session's POST is `issued`, its stream may take several connections.

    A plain stream that was told `draining` is asked for again, under another request id.
    """

    kind: Kind
    issued: Taken | None = None
    streams: list[Taken] = field(default_factory=list)

    @property
    def requests(self) -> list[Taken]:
        return [*([self.issued] if self.issued else []), *self.streams]

    @property
    def finished(self) -> bool:
        return bool(self.streams) and ending(self.streams[-1]) == "finished"

    @property
    def answers(self) -> list[list[Taken]]:
        """The streams of each answer that was asked for: a session is one, however often it is dropped."""
        return [self.streams] if self.issued else [[stream] for stream in self.streams]


def ending(taken: Taken) -> Ending:
    """How one response ended, by its status and its last event."""
    if taken.status not in (200, 201):
        return "refused"
    if taken.ending == "dropped":
        return "broken off"
    if taken.ending == "done":
        return "finished"
    *_, failure = taken.events()
    return "draining" if json.loads(failure.data)["code"] == "draining" else "failed"


@dataclass(frozen=True, slots=True)
class Crowd:
    """`clients` at the proxy's port, half of each kind; they begin evenly over `spread_s` seconds."""

    port: int
    clients: int
    spread_s: float
    model: str | None = None
    name: str = "rolling"

    def body(self, request_id: str) -> bytes:
        chat = {"prompt": prompt(request_id)} | ({"model": self.model} if self.model else {})
        return json.dumps(chat).encode()


def prompt(request_id: str) -> str:
    return f"What does {request_id} wait for?"


async def keep_asking(crowd: Crowd, over: asyncio.Event) -> list[Journey]:
    """Each client asks again as soon as it has its answer, until it is `over`; answers under way then end."""
    done: list[Journey] = []

    async def client(number: int) -> None:
        await asyncio.sleep(number * crowd.spread_s / crowd.clients)
        answers = 0
        while not over.is_set():
            name = f"{crowd.name}-{number:03d}-{answers:03d}"
            journey = await (_session if number % 2 else _plain)(crowd, name)
            done.append(journey)
            answers += 1
            if not journey.finished:
                await asyncio.sleep(REFUSED_PAUSE_S)

    await asyncio.gather(*map(client, range(crowd.clients)))
    return done


async def _plain(crowd: Crowd, name: str) -> Journey:
    journey = Journey("plain")
    for number in range(COMEBACKS + 1):
        request_id = f"{name}-{number}"
        taken = await _take(crowd.port, Asking(request_id, crowd.body(request_id)))
        journey.streams.append(taken)
        if ending(taken) != "draining":
            break
    return journey


async def _session(crowd: Crowd, name: str) -> Journey:
    asking = Asking(name, crowd.body(name), target="/chat/sessions", headers=JSON)
    journey = Journey("session", await _take(crowd.port, asking))
    assert journey.issued is not None
    if journey.issued.status != 201:
        return journey
    path = json.loads(journey.issued.body)["stream_url"]
    last_id, retry_ms = "", RETRY_MS
    for _ in range(COMEBACKS + 1):
        where = (
            ("Accept", "text/event-stream"),
            *((("Last-Event-ID", last_id),) if last_id else ()),
        )
        taken = await _take(crowd.port, Asking(name, target=path, headers=where))
        journey.streams.append(taken)
        if ending(taken) not in ("draining", "broken off"):
            break
        last_id, retry_ms = _place(taken, last_id, retry_ms)
        await asyncio.sleep(retry_ms / 1000)
    return journey


def _place(taken: Taken, last_id: str, retry_ms: int) -> tuple[str, int]:
    """Where an EventSource goes on, and after how long."""
    reader = SseReader()
    for at_ns, data in taken.reads:
        for event in reader.feed(data, at_ns):
            last_id = event.id or last_id
    return last_id, reader.retry_ms or retry_ms


async def _take(port: int, asking: Asking) -> Taken:
    asked_ns = time.monotonic_ns()
    try:
        async with asyncio.timeout(PATIENCE_S):
            [taken] = await take(port, (asking,))
    except TimeoutError:
        trouble = f"no end within {PATIENCE_S:.0f} s"
        return Taken(asking.request_id, asked_ns, ended_ns=time.monotonic_ns(), trouble=trouble)
    return taken
