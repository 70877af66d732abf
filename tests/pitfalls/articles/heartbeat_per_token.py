"""Heartbeats that are sent when a token arrives."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Application, Ground

PITFALL = Pitfall(
    title="a silence of many heartbeats between two tokens",
    article="inside the loop over the tokens: if 15 s have passed, send a ping",
    flask="no ping came in the silence",
    fastapi="no ping came in the silence",
    fixed="a ping came in the silence",
    fix="let a clock of its own send the heartbeat, not the arrival of a token",
    guide="stream-it",
    number=6,
)
HEARTBEAT_S = 0.02
SILENCE_S = 0.5
PING = ": ping\n\n"


@dataclass(slots=True)
class Silence:
    """The heartbeats that were written while the model said nothing; `over` when it has spoken again."""

    sent: int = 0
    over: bool = False

    def ping(self) -> str:
        self.sent += not self.over
        return PING

    def token(self) -> str:
        self.over = True
        return str(self.sent)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/events")
    def events() -> Response:
        silence = Silence()

        def tokens() -> Iterator[str]:
            yield "one"
            time.sleep(SILENCE_S)
            yield silence.token()

        def chunks() -> Iterator[str]:
            written = time.monotonic()
            for token in tokens():
                if time.monotonic() - written > HEARTBEAT_S:
                    yield silence.ping()
                yield f"data: {token}\n\n"
                written = time.monotonic()

        return Response(chunks(), mimetype="text/event-stream")

    return app


async def tokens(silence: Silence) -> AsyncIterator[str]:
    yield "one"
    await asyncio.sleep(SILENCE_S)
    yield silence.token()


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            silence = Silence()
            written = time.monotonic()
            async for token in tokens(silence):
                if time.monotonic() - written > HEARTBEAT_S:
                    yield silence.ping()
                yield f"data: {token}\n\n"
                written = time.monotonic()

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            silence = Silence()
            held: asyncio.Queue[str | None] = asyncio.Queue()

            async def read() -> None:
                async for token in tokens(silence):
                    await held.put(token)
                await held.put(None)

            reading = asyncio.create_task(read())
            try:
                while True:
                    try:
                        token = await asyncio.wait_for(held.get(), HEARTBEAT_S)
                    except TimeoutError:
                        yield silence.ping()
                        continue
                    if token is None:
                        return
                    yield f"data: {token}\n\n"
            finally:
                reading.cancel()

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


def probe(url: str) -> int:
    """How many heartbeats the app sent in the silence, which it says with its last token."""
    *_, last = httpx2.get(f"{url}/events", timeout=30).text.strip().split("\n\n")
    return int(last.removeprefix("data: "))


def told(sent: int) -> str:
    return f"{'a' if sent else 'no'} ping came in the silence"


def observe(ground: Ground) -> Observation:
    def seen(application: Application) -> int:
        with ground.serving(application) as url:
            return probe(url)

    flask, fastapi, fixed = seen(flask_app()), seen(fastapi_app()), seen(fixed_app())
    due = int(SILENCE_S / HEARTBEAT_S) - 1
    evidence = (
        f"a silence of {SILENCE_S * 1000:.0f} ms, a heartbeat every {HEARTBEAT_S * 1000:.0f} ms: {due} due,"
        f" {fastapi} sent by the loop over the tokens, {fixed} by a clock of its own"
    )
    return Observation(told(flask), told(fastapi), told(fixed), evidence)
