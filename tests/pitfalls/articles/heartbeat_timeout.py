"""Heartbeats made by a timeout on the generator's next token."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import groupby

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Application, Ground

PITFALL = Pitfall(
    title="a silence between two tokens that is longer than the heartbeat",
    article="heartbeats come from asyncio.wait_for(tokens.__anext__(), 15)",
    flask="one, ping, two",
    fastapi="one, ping",
    fixed="one, ping, two",
    fix="keep the next token in a task and look at it with asyncio.wait, which cancels nothing",
    guide="stream-it",
    number=5,
)
HEARTBEAT_S = 0.02
PING = ": ping\n\n"


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/events")
    def events() -> Response:
        held: queue.Queue[str | None] = queue.Queue()
        pinged = threading.Event()

        def read() -> None:
            held.put("one")
            pinged.wait(10)
            held.put("two")
            held.put(None)

        def chunks() -> Iterator[str]:
            threading.Thread(target=read).start()
            while True:
                try:
                    token = held.get(timeout=HEARTBEAT_S)
                except queue.Empty:
                    yield PING
                    pinged.set()
                    continue
                if token is None:
                    return
                yield f"data: {token}\n\n"

        return Response(chunks(), mimetype="text/event-stream")

    return app


async def tokens(pinged: asyncio.Event) -> AsyncIterator[str]:
    yield "one"
    await pinged.wait()
    yield "two"


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            pinged = asyncio.Event()
            source = tokens(pinged)
            while True:
                try:
                    token = await asyncio.wait_for(anext(source), HEARTBEAT_S)
                except TimeoutError:
                    yield PING
                    pinged.set()
                except StopAsyncIteration:
                    return
                else:
                    yield f"data: {token}\n\n"

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            pinged = asyncio.Event()
            source = tokens(pinged)
            following = asyncio.ensure_future(anext(source, None))
            try:
                while True:
                    done, _ = await asyncio.wait({following}, timeout=HEARTBEAT_S)
                    if not done:
                        yield PING
                        pinged.set()
                        continue
                    if (token := following.result()) is None:
                        return
                    yield f"data: {token}\n\n"
                    following = asyncio.ensure_future(anext(source, None))
            finally:
                following.cancel()

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


def probe(url: str) -> list[str]:
    """Every token and every ping of the stream."""
    frames = httpx2.get(f"{url}/events", timeout=30).raise_for_status().text.split("\n\n")[:-1]
    return [frame.removeprefix("data: ").removeprefix(": ") for frame in frames]


def told(frames: list[str]) -> str:
    return ", ".join(word for word, _ in groupby(frames))


def counted(frames: list[str]) -> str:
    pings = frames.count("ping")
    return f"{len(frames) - pings} of 2 tokens and {pings} heartbeat{'s' * (pings != 1)}"


def observe(ground: Ground) -> Observation:
    def seen(application: Application) -> list[str]:
        with ground.serving(application) as url:
            return probe(url)

    flask, fastapi, fixed = seen(flask_app()), seen(fastapi_app()), seen(fixed_app())
    evidence = (
        f"with wait_for({HEARTBEAT_S * 1000:.0f} ms): {counted(fastapi)}, and the 200 ends like any other; with"
        f" the token kept in a task: {counted(fixed)}"
    )
    return Observation(told(flask), told(fastapi), told(fixed), evidence)
