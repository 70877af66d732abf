"""Whether something waits before it writes."""

import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Application, Ground

PITFALL = Pitfall(
    title="two short streams, one behind the other",
    article="asyncio batches writes for 5 ms, which for 200 connections adds up to 5 s",
    flask="less than 5 ms apart",
    fastapi="less than 5 ms apart",
    fixed="less than 5 ms apart",
    fix="there is no timer to get round (and 200 x 5 ms is 1 s): write what there is, join tokens to save CPU",
    guide="stream-it",
    number=3,
)
BATCH_S = 0.005
MEASURED, TRIES = 50, 1000
CONNECTIONS = 200


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


def tried(url: str) -> list[float]:
    """Distances in seconds: a busy machine makes them long now and then; a timer would at every try."""
    seen_s = [apart_s(url) for _ in range(MEASURED)]
    while min(seen_s) >= BATCH_S and len(seen_s) < TRIES:
        seen_s.append(apart_s(url))
    return seen_s


def told(seen_s: list[float]) -> str:
    return f"{'less' if min(seen_s) < BATCH_S else 'more'} than {BATCH_S * 1000:g} ms apart"


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
    def seen(application: Application) -> list[float]:
        with ground.serving(application) as url:
            return tried(url)

    flask, fastapi, fixed = seen(flask_app()), seen(fastapi_app()), seen(fixed_app())
    evidence = (
        f"{statistics.median(fastapi) * 1000:.2f} ms from the end of one stream to the end of the next, with"
        f" a request and two writes in between (median of {len(fastapi)}); {CONNECTIONS} x"
        f" {BATCH_S * 1000:g} ms would be {CONNECTIONS * BATCH_S:g} s"
    )
    return Observation(told(flask), told(fastapi), told(fixed), evidence)
