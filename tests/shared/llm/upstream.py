"""A provider of bytes: an HTTP/1.1 server in a thread that answers with what a test wrote down."""

import asyncio
import itertools
import queue
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from tests.shared.llm.bodies import cut

Ending = Literal["keep", "close", "reset", "hold"]
WAIT_S = 5.0


@dataclass(frozen=True)
class Reply:
    """The TCP writes of one answer, and what becomes of the connection."""

    writes: tuple[bytes, ...] = ()
    ending: Ending = "keep"
    paced: bool = False
    """Whether each write but the first waits for `Upstream.go_on`."""

    def cut(self, places: Sequence[int]) -> "Reply":
        """The same bytes in other writes."""
        return Reply(tuple(cut(b"".join(self.writes), places)), self.ending)


@dataclass(frozen=True)
class Asked:
    """One request; `connection` counts the connections, from 0."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


def answer(
    body: bytes, status: str = "200 OK", kind: str = "application/json", **headers: str
) -> Reply:
    """A whole answer, with its length."""
    fields = {"Content-Type": kind, "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((head(status, fields) + body,))


def event_stream(*parts: bytes, ending: Ending = "keep") -> Reply:
    """A chunked event stream, one write a part; its end is announced only where it is kept or closed."""
    fields = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
    if ending == "close":
        fields["Connection"] = "close"  # unannounced, the next request would race with it
    last = b"0\r\n\r\n" if ending in ("keep", "close") else b""
    framed = [f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts]
    framed[-1] += last
    return Reply((head("200 OK", fields), *framed), ending)


def head(status: str, fields: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Upstream:
    """Gives its replies in order, the last one again and again; `left` has the time each connection ended."""

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        self.asked: list[Asked] = []
        self.arrivals: queue.Queue[Asked] = queue.Queue()
        self.left: queue.Queue[float] = queue.Queue()
        self._replies: list[Reply] = []
        self._connections = itertools.count()
        self._listener = listener
        self._stop = asyncio.Event()
        self._go = asyncio.Semaphore(0)
        self._loop: asyncio.AbstractEventLoop | None = None

    def will(self, *replies: Reply) -> None:
        """From now on answers so, and forgets what was asked."""
        self._replies = list(replies)
        self.asked, self.arrivals, self.left = [], queue.Queue(), queue.Queue()

    def left_after_s(self, since: float) -> float:
        """Seconds from `since` (time.monotonic) to the end of the connection that is next to end."""
        return self.left.get(timeout=WAIT_S) - since

    def go_on(self) -> None:
        """Lets a reply that is paced make its next write."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._go.release)

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with await asyncio.start_server(self._connection, sock=self._listener):
            await self._stop.wait()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._connections)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._exchange(number, reader, writer):
                    pass
        finally:
            self.left.put(time.monotonic())
            writer.close()

    async def _exchange(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        asked = await _read(number, reader)
        self.asked.append(asked)
        self.arrivals.put(asked)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        for position, part in enumerate(reply.writes):
            if reply.paced and position:
                await self._go.acquire()
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if reply.ending == "hold":
            await reader.read()
        if reply.ending == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return reply.ending == "keep"


async def _read(number: int, reader: asyncio.StreamReader) -> Asked:
    raw = await reader.readuntil(b"\r\n\r\n")
    line, *fields = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(number, line, headers, body)


@contextmanager
def serving() -> Iterator[Upstream]:
    """A server on a free port; it listens before the thread runs, so nobody has to wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener, asyncio.Runner() as runner:
        upstream = Upstream(listener)
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_until_complete, args=(upstream.run(),))
        thread.start()
        try:
            yield upstream
        finally:
            loop.call_soon_threadsafe(upstream.stop)
            thread.join()
