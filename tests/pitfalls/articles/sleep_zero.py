"""asyncio.sleep(0) behind each chunk."""

import asyncio
import http.client
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
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
)
PATIENCE_S = 2.0


def flask_app(read: threading.Event) -> Flask:
    app = Flask(__name__)

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[str]:
            yield "one\n"
            yield told(read.wait(PATIENCE_S))

        return Response(chunks(), mimetype="text/plain")

    return app


def fastapi_app(read: threading.Event) -> FastAPI:
    app = FastAPI()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            yield "one\n"
            await asyncio.sleep(0)
            yield "with sleep(0): " + told(read.wait(PATIENCE_S))

        return StreamingResponse(chunks())

    return app


def fixed_app(read: threading.Event) -> FastAPI:
    app = FastAPI()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            yield "one\n"
            yield "without: " + told(read.wait(PATIENCE_S))

        return StreamingResponse(chunks())

    return app


def told(read: bool) -> str:
    return "leaves at once" if read else "is held back"


def probe(url: str, read: threading.Event) -> str:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", "/stream")
    answer = connection.getresponse()
    assert answer.readline() == b"one\n"
    read.set()
    rest = answer.read().decode()
    connection.close()
    return rest


async def marks() -> str:
    """What a connection of asyncio is set to when nobody has touched it."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(*address)
        _, high = writer.transport.get_write_buffer_limits()
        own = writer.get_extra_info("socket")
        on = "on" if own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) else "off"
        writer.close()
    return f"TCP_NODELAY is {on}, and writing pauses above {high} bytes"


def observe(ground: Ground) -> Observation:
    def seen(make: Callable[[threading.Event], Application]) -> str:
        read = threading.Event()
        with ground.serving(make(read)) as url:
            return probe(url, read)

    fixed = f"{seen(fixed_app)}; {asyncio.run(marks())}"
    return Observation(seen(flask_app), seen(fastapi_app), fixed)
