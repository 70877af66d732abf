"""Streams read by an event loop that only stamps what it reads; what came is looked at afterwards."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httptools

from loadtests.sse_reader import ServerEvent, SseReader

EVENTS = (("Accept", "text/event-stream"), ("Content-Type", "application/json"))


@dataclass(frozen=True, slots=True)
class Asking:
    """One request, sent `after_s` seconds from the start of its crowd; without a body it is a GET."""

    request_id: str
    body: bytes = b""
    after_s: float = 0.0
    target: str = "/chat"
    headers: tuple[tuple[str, str], ...] = EVENTS

    @property
    def method(self) -> str:
        return "POST" if self.body else "GET"


@dataclass(slots=True)
class Taken:
    """What came for one request: monotonic nanoseconds, and the body's bytes by the read that brought them.

    `trouble` says why the response is not whole by HTTP's own rules; it is empty when it is.
    """

    request_id: str
    asked_ns: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    reads: list[tuple[int, bytes]] = field(default_factory=list)
    ended_ns: int = 0
    trouble: str = "no answer"

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.reads)

    def events(self) -> Iterator[ServerEvent]:
        """The events of the stream, each with the stamp of the read that completed it."""
        reader = SseReader()
        for at_ns, data in self.reads:
            yield from reader.feed(data, at_ns)

    @property
    def content_ns(self) -> list[int]:
        """The stamps of the reads that brought text, one for each delta."""
        return [event.at_ns for event in self.events() if event.name == "delta"]

    @property
    def ending(self) -> str:
        """`done`, `failure`, or `dropped` for a stream that broke off without a last word."""
        names = [event.name for event in self.events()]
        return names[-1] if names and names[-1] in ("done", "failure") else "dropped"


OnTaken = Callable[[Taken], None]


class _Reader(asyncio.Protocol):
    """One connection and its one response; httptools calls the methods named on_*."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._http = httptools.HttpResponseParser(self)
        self._read_ns = 0
        self.taken = Taken(asking.request_id)
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class that asyncio knows.
        self._transport = cast(asyncio.Transport, transport)
        self.taken.asked_ns = time.monotonic_ns()
        self._transport.write(request(self._asking))

    def data_received(self, data: bytes) -> None:
        self._read_ns = time.monotonic_ns()
        try:
            self._http.feed_data(data)
        except httptools.HttpParserError as error:
            self.taken.trouble = f"not HTTP: {type(error).__name__}"
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.taken.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.taken.status = self._http.get_status_code()
        self.taken.trouble = "broken off"

    def on_body(self, body: bytes) -> None:
        self.taken.reads.append((self._read_ns, body))

    def on_message_complete(self) -> None:
        self.taken.trouble = ""
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.taken.ended_ns = self._read_ns if not self.taken.trouble else time.monotonic_ns()
        if not self.gone.done():
            self.gone.set_result(None)


async def take(
    port: int,
    crowd: Sequence[Asking],
    *,
    certificate: Path | None = None,
    told: OnTaken = lambda _: None,
) -> list[Taken]:
    """A crowd over HTTP/1.1, each on a connection of its own, in the order of the crowd; `told` at each end.

    With a certificate that is to be trusted, over TLS.
    """
    loop = asyncio.get_running_loop()
    trusted = ssl.create_default_context(cafile=certificate) if certificate else None
    started = loop.time()

    async def one(asking: Asking) -> Taken:
        await asyncio.sleep(started + asking.after_s - loop.time())
        reader = _Reader(asking)
        try:
            await loop.create_connection(lambda: reader, "127.0.0.1", port, ssl=trusted)
            await reader.gone
        except OSError as error:
            reader.taken.trouble = f"no connection ({type(error).__name__})"
        told(reader.taken)
        return reader.taken

    return await asyncio.gather(*map(one, crowd))


def request(asking: Asking) -> bytes:
    """One HTTP/1.1 request, as bytes."""
    lines = [
        f"{asking.method} {asking.target} HTTP/1.1",
        "Host: 127.0.0.1",
        f"X-Request-ID: {asking.request_id}",
        *(f"{name}: {value}" for name, value in asking.headers),
    ]
    if asking.body:
        lines.append(f"Content-Length: {len(asking.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + asking.body
