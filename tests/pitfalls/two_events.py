"""A stream of two events: the second is written when the first has been read, or when patience ends."""

import asyncio
import http.client
import json
import ssl
import threading
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

PATIENCE_S = 1.0
FIRST = "data: first\n\n"


@dataclass(frozen=True, slots=True)
class First:
    """Whether the first event was held back until the second was written, and after how long it was read."""

    held: bool
    took_ms: float

    @property
    def words(self) -> str:
        return f"the first event {'waits for the end' if self.held else 'comes at once'}"


def second(written_ns: int, read: bool) -> str:
    """The second event tells of the first."""
    return f"data: {json.dumps({'written_ns': written_ns, 'held': not read})}\n\n"


def flask_app() -> Flask:
    app = Flask(__name__)
    read = threading.Event()

    @app.get("/events")
    def events() -> Response:
        def chunks() -> Iterator[str]:
            read.clear()
            written_ns = time.monotonic_ns()
            yield FIRST
            yield second(written_ns, read.wait(PATIENCE_S))

        return Response(chunks(), mimetype="text/event-stream")

    @app.post("/read")
    def was_read() -> str:
        read.set()
        return ""

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()
    read = threading.Event()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            read.clear()
            written_ns = time.monotonic_ns()
            yield FIRST
            yield second(written_ns, await asyncio.to_thread(read.wait, PATIENCE_S))

        return StreamingResponse(chunks(), media_type="text/event-stream")

    @app.post("/read")
    async def was_read() -> None:
        read.set()

    return app


def probe(url: str, app: str, trusted: Path | None = None) -> First:
    """Reads the stream at `url` as a client who takes gzip, and tells the app when the first event has come.

    Over TLS where a certificate is `trusted`.
    """
    client = _client(urlsplit(url).netloc, trusted)
    client.request("GET", "/events", headers={"Accept-Encoding": "gzip"})
    answer = client.getresponse()
    packed = answer.headers["Content-Encoding"] == "gzip"
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress if packed else bytes
    text, read_ns = b"", 0
    while data := answer.read1():
        text += unpack(data)
        if not read_ns and text.startswith(FIRST.encode()):
            read_ns = time.monotonic_ns()
            httpx2.post(f"{app}/read").raise_for_status()
    client.close()
    told = json.loads(text.removeprefix(f"{FIRST}data: ".encode()))
    return First(told["held"], (read_ns - told["written_ns"]) / 1e6)


def _client(host: str, trusted: Path | None) -> http.client.HTTPConnection:
    if trusted is None:
        return http.client.HTTPConnection(host, timeout=10 * PATIENCE_S)
    context = ssl.create_default_context(cafile=trusted)
    return http.client.HTTPSConnection(host, timeout=10 * PATIENCE_S, context=context)
