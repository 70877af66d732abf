"""Whether something waits before it writes."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="two short streams, one behind the other",
    article="asyncio batches writes for 5 ms, which for 200 connections adds up to 5 s",
    flask="less than 5 ms apart",
    fastapi="less than 5 ms apart",
    fixed="less than 5 ms apart",
    fix="there is no timer to get round (and 200 x 5 ms is 1 s): write what there is, join tokens to save CPU",
    guide="stream-it",
)
BATCH_S = 0.005
TRIES = 1000


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[str]:
            yield "one "
            yield "two"

        return Response(chunks())

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            yield "one "
            yield "two"

        return StreamingResponse(chunks())

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            yield "one two"

        return StreamingResponse(chunks())

    return app


def probe(url: str) -> str:
    # A busy machine makes them slow now and then; a timer would at every try.
    quick = any(apart_s(url) < BATCH_S for _ in range(TRIES))
    return f"{'less' if quick else 'more'} than {BATCH_S * 1000:g} ms apart"


def apart_s(url: str) -> float:
    """From the end of one stream to the end of the next, in seconds: a timer would run in between."""
    ends = []
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=10)) as connection:
        for _ in range(2):
            connection.request("GET", "/stream")
            assert connection.getresponse().read() == b"one two"
            ends.append(time.monotonic())
    return ends[1] - ends[0]


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
