"""X-Accel-Buffering as a header of the request, or of the response."""

import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Application, Ground
from tests.pitfalls.proxies import nginx

# Whether a single event is held back as well depends on how the app's bytes are cut: a chunk that nginx reads
# whole is passed on at once, a part of one waits, and so does an answer that is not chunked.
PITFALL = Pitfall(
    title="nginx with proxy_set_header X-Accel-Buffering no, and a client that reads nothing",
    article="proxy_set_header X-Accel-Buffering no turns nginx's buffering off",
    flask="nginx buffers the whole stream",
    fastapi="nginx buffers the whole stream",
    fixed="the app waits for its reader",
    fix="send X-Accel-Buffering: no as a response header of the app, or set proxy_buffering off",
    guide="proxy",
)
CHUNK = f": {'x' * 65_536}\n\n"
CHUNKS = 256  # 16 MiB, more than the sockets on the way hold
STANDSTILL = 100  # so many answers come the same way, over a second, and the stream goes no further
STANDSTILL_S = 1.0
RECEIVE_BYTES = 4096


def flask_app() -> Flask:
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


def fastapi_app(headers: Mapping[str, str] | None = None) -> FastAPI:
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


def fixed_app() -> FastAPI:
    return fastapi_app({"X-Accel-Buffering": "no"})


def probe(url: str) -> str:
    with asked(url), httpx2.Client(base_url=url, timeout=30) as client:
        whole = settled(client) == CHUNKS
    return "nginx buffers the whole stream" if whole else "the app waits for its reader"


def asked(url: str) -> socket.socket:
    """A client that has asked for the stream, and reads nothing."""
    target = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    client.connect((target.hostname, target.port))
    client.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    return client


def settled(client: httpx2.Client) -> int:
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


def observe(ground: Ground) -> Observation:
    def seen(application: Application) -> str:
        with (
            ground.serving(application) as app,
            nginx("accel_buffering", app, ground.folder) as url,
        ):
            return probe(url)

    return Observation(seen(flask_app()), seen(fastapi_app()), seen(fixed_app()))
