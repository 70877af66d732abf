"""A client with the ways of an EventSource: it comes back after the stream's `retry`, with its last id."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Self

from loadtests.provoking.crowd import Told, ask
from loadtests.sse_reader import ServerEvent, SseReader

RETRY_MS = 3000  # of a browser that was told nothing
SESSIONS = "/chat/sessions"


@dataclass
class Client:
    """Reads one session to its end; `waited_ms` has the time that it waited each time it was dropped."""

    host: str
    port: int
    path: str
    last_id: str = ""
    retry_ms: int = RETRY_MS
    ended: bool = False
    events: list[ServerEvent] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    waited_ms: list[int] = field(default_factory=list)

    @property
    def text(self) -> str:
        deltas = (json.loads(event.data) for event in self.events if event.name == "delta")
        return "".join(delta["text"] for delta in deltas)

    @property
    def endings(self) -> list[str]:
        return [event.name for event in self.events if event.name != "delta"]

    @property
    def positions(self) -> list[int]:
        """The seq of each event that it was given."""
        return [int(event.id.partition("-")[2]) for event in self.events]

    async def follow(self) -> None:
        """Until a terminal event; raises Refused for an answer that ends an EventSource."""
        while not self.ended:
            try:
                await self._read()
            except (OSError, asyncio.IncompleteReadError):
                self.waited_ms.append(self.retry_ms)
                await asyncio.sleep(self.retry_ms / 1000)

    def twin(self) -> Self:
        """Another client, who has what this one has."""
        return replace(self, events=list(self.events), begun=asyncio.Event(), waited_ms=[])

    async def _read(self) -> None:
        sse = SseReader()
        async with self._opened() as reader:
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                raise Refused(head.partition(b"\r\n")[0].decode())
            while not self.ended:
                size = int((await reader.readuntil(b"\r\n")), 16)
                chunk = await reader.readexactly(size + 2)
                self._take(sse.feed(chunk[:size], 0), sse.retry_ms)

    def _take(self, events: list[ServerEvent], retry_ms: int | None) -> None:
        self.retry_ms = retry_ms or self.retry_ms
        self.events += events
        for event in events:
            self.last_id = event.id or self.last_id
            self.ended = self.ended or event.name != "delta"
            self.begun.set()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[asyncio.StreamReader]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            last = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
            writer.write(f"GET {self.path} HTTP/1.1\r\nHost: crowd\r\n{last}\r\n".encode())
            yield reader
        finally:
            writer.transport.abort()


class Refused(Exception):
    """The status line that was not a 200."""


async def session(host: str, port: int, request_id: str, request: dict[str, object]) -> str:
    """POST /chat/sessions; the path of its stream."""
    body = json.dumps(request)
    lines = (
        f"POST {SESSIONS} HTTP/1.1",
        "Host: crowd",
        "Content-Type: application/json",
        f"X-Request-ID: {request_id}",
        f"Content-Length: {len(body)}",
    )
    told = Told(request_id)
    await ask(host, port, ("\r\n".join(lines) + f"\r\n\r\n{body}").encode(), told)
    if told.answer.status != 201:
        raise Refused(f"{told.answer.status} {told.answer.code}")
    return str(json.loads(told.answer.body)["stream_url"])
