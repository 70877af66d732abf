"""Visits of readers to a stack: each asks, waits while patience lasts, reads, and closes the connection."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import httptools

from loadtests.audience.patience import Reader
from loadtests.corpus import SeededCorpus
from loadtests.profiles import Profile
from loadtests.reporting.records import Kind
from loadtests.sse_reader import SseReader

Ending = Literal["abandoned", "left", "finished", "failed"]


@dataclass(slots=True)
class Visit:
    """How one visit went; monotonic nanoseconds, `shown_ns` is the first visible text.

    A visit has `finished` when the whole answer is on the screen, whether or not it is read to its end.
    """

    request_id: str
    reader: Reader
    asked_ns: int = 0
    shown_ns: int | None = None
    ended_ns: int = 0
    ending: Ending = "failed"


@dataclass(frozen=True, slots=True)
class Crowd:
    """Readers who come evenly, `rate` a second, and what the model writes for them."""

    readers: Sequence[Reader]
    rate: float
    profile: Profile
    seed: int


class _Visitor(asyncio.Protocol):
    """One connection; the answer's parts come from httptools, which calls the methods named on_*."""

    def __init__(self, visit: Visit, asked: bytes, kind: Kind, profile: Profile) -> None:
        self._loop = asyncio.get_running_loop()
        self._visit, self._asked, self._kind, self._profile = visit, asked, kind, profile
        self._http = httptools.HttpResponseParser(self)
        self._events = SseReader()
        self._timer: asyncio.TimerHandle | None = None
        self.gone: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class that asyncio knows.
        self._transport = cast(asyncio.Transport, transport)
        self._visit.asked_ns = time.monotonic_ns()
        self._transport.write(self._asked)
        self._leave_in(self._visit.reader.patience_s, "abandoned")

    def data_received(self, data: bytes) -> None:
        if self._visit.ended_ns:
            return
        try:
            self._http.feed_data(data)
        except httptools.HttpParserError:
            self._end("failed")

    def connection_lost(self, error: Exception | None) -> None:
        self._end("failed")
        self.gone.set_result(None)

    def on_body(self, body: bytes) -> None:
        if self._http.get_status_code() != 200:
            self._end("failed")
        elif self._kind == "stream":
            for event in self._events.feed(body, time.monotonic_ns()):
                self._hear(event.name)

    def on_message_complete(self) -> None:
        if self._kind == "batch" and self._http.get_status_code() == 200:
            self._visit.shown_ns = time.monotonic_ns()
            self._end("finished")

    def _hear(self, event: str) -> None:
        if event == "delta" and self._visit.shown_ns is None:
            self._visit.shown_ns = time.monotonic_ns()
            self._leave_in(self._visit.reader.stays_s(self._profile), "left")
        elif event != "delta":
            self._end("finished" if event == "done" else "failed")

    def _leave_in(self, seconds: float, ending: Ending) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._end, ending)

    def _end(self, ending: Ending) -> None:
        """The first ending counts; closing the connection is how a reader leaves."""
        if self._visit.ended_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._visit.ended_ns, self._visit.ending = time.monotonic_ns(), ending
        self._transport.close()


async def come(port: int, kind: Kind, crowd: Crowd, told: Callable[[Visit], None]) -> list[Visit]:
    """The visits of a crowd to the stack at a port of this host, in the order in which they began."""
    started = time.monotonic()
    corpus = SeededCorpus(crowd.seed)
    loop = asyncio.get_running_loop()

    async def visit(index: int) -> Visit:
        await asyncio.sleep(started + index / crowd.rate - time.monotonic())
        one = Visit(f"reader-{index:05d}", crowd.readers[index])
        asked = _request(one.request_id, corpus, index, kind)
        _, visitor = await loop.create_connection(
            lambda: _Visitor(one, asked, kind, crowd.profile), "127.0.0.1", port
        )
        await visitor.gone
        told(one)
        return one

    return await asyncio.gather(*map(visit, range(len(crowd.readers))))


def _request(request_id: str, corpus: SeededCorpus, index: int, kind: Kind) -> bytes:
    chat = corpus.request(index).model_dump(mode="json", exclude_defaults=True)
    body = json.dumps(chat | {"stream": kind == "stream"}).encode()
    head = (
        "POST /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"X-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
