"""Heartbeats that are sent when a token arrives."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a silence of many heartbeats between two tokens",
    article="inside the loop over the tokens: if 15 s have passed, send a ping",
    flask="no ping came in the silence",
    fastapi="no ping came in the silence",
    fixed="a ping came in the silence",
    fix="let a clock of its own send the heartbeat, not the arrival of a token",
    guide="stream-it",
)
HEARTBEAT_S = 0.02
SILENCE_S = 0.5
PING = ": ping\n\n"


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/events")
    def events() -> Response:
        pinged = threading.Event()

        def tokens() -> Iterator[str]:
            yield "one"
            yield told(pinged.wait(SILENCE_S))

        def chunks() -> Iterator[str]:
            written = time.monotonic()
            for token in tokens():
                if time.monotonic() - written > HEARTBEAT_S:
                    yield PING
                    pinged.set()
                yield f"data: {token}\n\n"
                written = time.monotonic()

        return Response(chunks(), mimetype="text/event-stream")

    return app


async def tokens(pinged: asyncio.Event) -> AsyncIterator[str]:
    yield "one"
    with suppress(TimeoutError):
        await asyncio.wait_for(pinged.wait(), SILENCE_S)
    yield told(pinged.is_set())


def told(pinged: bool) -> str:
    return f"{'a' if pinged else 'no'} ping came in the silence"


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            pinged = asyncio.Event()
            written = time.monotonic()
            async for token in tokens(pinged):
                if time.monotonic() - written > HEARTBEAT_S:
                    yield PING
                    pinged.set()
                yield f"data: {token}\n\n"
                written = time.monotonic()

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            pinged = asyncio.Event()
            held: asyncio.Queue[str | None] = asyncio.Queue()

            async def read() -> None:
                async for token in tokens(pinged):
                    await held.put(token)
                await held.put(None)

            reading = asyncio.create_task(read())
            try:
                while True:
                    try:
                        token = await asyncio.wait_for(held.get(), HEARTBEAT_S)
                    except TimeoutError:
                        yield PING
                        pinged.set()
                        continue
                    if token is None:
                        return
                    yield f"data: {token}\n\n"
            finally:
                reading.cancel()

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


def probe(url: str) -> str:
    *_, last = httpx2.get(f"{url}/events", timeout=30).text.strip().split("\n\n")
    return last.removeprefix("data: ")


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
