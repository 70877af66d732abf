"""asyncio.sleep(0) behind each chunk."""

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Application, Ground

PITFALL = Pitfall(
    title="a chunk that is written while the event loop stands still",
    article="without await asyncio.sleep(0) behind each chunk asyncio buffers 64 KB",
    flask="leaves at once",
    fastapi="with sleep(0): leaves at once",
    fixed="without: leaves at once; TCP_NODELAY is on, and writing pauses above 65536 bytes",
    fix="write no sleep(0) to flush: it lets other tasks run, and is a place to be cancelled at",
    guide="stream-it",
    number=1,
)
PATIENCE_S = 2.0


@dataclass(slots=True)
class Chunk:
    """The first chunk of a stream: monotonic nanoseconds of its yield and of its being read."""

    written_ns: int = 0
    read_ns: int = 0
    read: threading.Event = field(default_factory=threading.Event)

    def written(self) -> str:
        self.written_ns = time.monotonic_ns()
        return "one\n"

    @property
    def took_ms(self) -> float:
        return (self.read_ns - self.written_ns) / 1e6


def flask_app(chunk: Chunk) -> Flask:
    app = Flask(__name__)

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[str]:
            yield chunk.written()
            yield told(chunk.read.wait(PATIENCE_S))

        return Response(chunks(), mimetype="text/plain")

    return app


def fastapi_app(chunk: Chunk) -> FastAPI:
    app = FastAPI()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            yield chunk.written()
            await asyncio.sleep(0)
            yield "with sleep(0): " + told(chunk.read.wait(PATIENCE_S))

        return StreamingResponse(chunks())

    return app


def fixed_app(chunk: Chunk) -> FastAPI:
    app = FastAPI()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            yield chunk.written()
            yield "without: " + told(chunk.read.wait(PATIENCE_S))

        return StreamingResponse(chunks())

    return app


def told(read: bool) -> str:
    return "leaves at once" if read else "is held back"


def probe(url: str, chunk: Chunk) -> str:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", "/stream")
    answer = connection.getresponse()
    assert answer.readline() == b"one\n"
    chunk.read_ns = time.monotonic_ns()
    chunk.read.set()
    rest = answer.read().decode()
    connection.close()
    return rest


async def marks() -> tuple[bool, int]:
    """TCP_NODELAY, and the bytes above which writing pauses, of a connection that nobody has touched."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(*address)
        _, high = writer.transport.get_write_buffer_limits()
        own = writer.get_extra_info("socket")
        no_delay = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
    return bool(no_delay), high


def observe(ground: Ground) -> Observation:
    took_ms: list[float] = []

    def seen(make: Callable[[Chunk], Application]) -> str:
        chunk = Chunk()
        with ground.serving(make(chunk)) as url:
            words = probe(url, chunk)
        took_ms.append(chunk.took_ms)
        return words

    no_delay, high = asyncio.run(marks())
    on = f"TCP_NODELAY is {'on' if no_delay else 'off'}, and writing pauses above {high} bytes"
    seen_of = seen(flask_app), seen(fastapi_app), f"{seen(fixed_app)}; {on}"
    evidence = (
        f"the loop stood still, and the client had read the chunk {took_ms[2]:.1f} ms after its yield, with"
        f" sleep(0) after {took_ms[1]:.1f} ms; TCP_NODELAY is {no_delay:d}; the write buffer's high mark is"
        f" {high:,} bytes"
    )
    return Observation(*seen_of, evidence)
