"""A long stream of events, and how much of it an app gets rid of when its client reads nothing."""

import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

CHUNK = f": {'x' * 65_536}\n\n"
CHUNKS = 256  # 16 MiB, more than the sockets on the way hold
STANDSTILL = 100  # so many answers come the same way, over a second, and the stream goes no further
STANDSTILL_S = 1.0
RECEIVE_BYTES = 4096


def flask_flood() -> Flask:
    app = Flask(__name__)
    written: list[int] = []

    @app.get("/events")
    def events() -> Response:
        def chunks() -> Iterator[str]:
            for number in range(CHUNKS):
                yield CHUNK
                written.append(number)

        return Response(chunks(), mimetype="text/event-stream")

    @app.get("/written")
    def how_many() -> list[int]:
        return [len(written)]

    return app


def fastapi_flood(headers: Mapping[str, str] | None = None) -> FastAPI:
    app = FastAPI()
    written: list[int] = []

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            for number in range(CHUNKS):
                yield CHUNK
                written.append(number)

        return StreamingResponse(chunks(), media_type="text/event-stream", headers=headers)

    @app.get("/written")
    async def how_many() -> list[int]:
        return [len(written)]

    return app


def taken_mib(url: str) -> float:
    """MiB of the stream that the app has got rid of when it goes no further; its client reads nothing."""
    with _asked(url), httpx2.Client(base_url=url, timeout=30) as client:
        return _settled(client) * len(CHUNK) / 2**20


def buffers(mib: float) -> str:
    """Whether that is the whole stream, in the words of an entry."""
    whole = mib == CHUNKS * len(CHUNK) / 2**20
    return "nginx buffers the whole stream" if whole else "the app waits for its reader"


def _asked(url: str) -> socket.socket:
    """A client that has asked for the stream, and reads nothing."""
    target = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    client.connect((target.hostname, target.port))
    client.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    return client


def _settled(client: httpx2.Client) -> int:
    """How many chunks the app has written when it writes no more: each answer takes the way of the stream,
    through the one process of nginx and through the app."""
    count, since, still = 0, time.monotonic(), 0
    while still < STANDSTILL or time.monotonic() - since < STANDSTILL_S:
        still += 1
        if (now := client.get("/written").json()[0]) > count:
            count, since, still = now, time.monotonic(), 0
        if count == CHUNKS:
            break
    return count
