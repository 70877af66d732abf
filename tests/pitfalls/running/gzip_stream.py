"""A stream of small chunks behind gzip."""

import asyncio
import gzip
import http.client
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="tokens streamed as `text/plain`, and gzip is on",
    flask="the first token comes before the second is written",
    fastapi="the first token is held back",
    current="the first token comes before the second is written",
    fixed="the first token comes before the second is written",
    fix="call it `text/event-stream`, which `GZipMiddleware` leaves alone; Starlette flushes chunks from 1.5",
    guide="stream-it",
)
SOON_S = 10.0


def flask_app() -> Flask:
    app = Flask(__name__)
    seen = threading.Event()

    def tokens() -> Iterator[str]:
        yield "data: first\n\n"
        seen.wait(SOON_S)
        yield "data: second\n\n"

    @app.after_request
    def compress(response: Response) -> Response:
        if not response.is_streamed:
            response.data = gzip.compress(response.data)
            response.content_encoding = "gzip"
        return response

    @app.get("/chat")
    def chat() -> Response:
        return Response(tokens(), mimetype="text/plain")

    @app.post("/seen")
    def say() -> str:
        seen.set()
        return ""

    return app


def fastapi_app() -> FastAPI:
    return _streaming("text/plain")


def fixed_app() -> FastAPI:
    return _streaming("text/event-stream")


def _streaming(media_type: str) -> FastAPI:
    app = FastAPI()
    app.add_middleware(GZipMiddleware)
    seen = asyncio.Event()

    async def tokens() -> AsyncIterator[str]:
        yield "data: first\n\n"
        await asyncio.wait_for(seen.wait(), SOON_S)
        yield "data: second\n\n"

    @app.get("/chat")
    async def chat() -> StreamingResponse:
        return StreamingResponse(tokens(), media_type=media_type)

    @app.post("/seen")
    async def say() -> None:
        seen.set()

    return app


def probe(url: str) -> str:
    """What the first chunk on the wire holds, while the second token is not yet written."""
    client = http.client.HTTPConnection(urlsplit(url).netloc, timeout=2 * SOON_S)
    client.request("GET", "/chat", headers={"Accept-Encoding": "gzip"})
    answer = client.getresponse()
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    unpack = unpacker.decompress if answer.headers.get("Content-Encoding") else bytes
    first = unpack(answer.read1())
    httpx2.post(f"{url}/seen")
    rest = unpack(answer.read())
    client.close()
    if first + rest != b"data: first\n\ndata: second\n\n":
        return f"{answer.status}: {(first + rest)!r}"
    return f"the first token {'comes before the second is written' if first else 'is held back'}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
