"""A reader who leaves in the middle of a stream."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

import httpx2
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="the reader leaves after the first token, and Flask's generator runs behind a WSGI bridge",
    flask="generation stops",
    fastapi="all 50 tokens are generated and billed",
    fixed="generation stops",
    fix="move streams to an async endpoint first; until then leave them on gunicorn, and do not mount them",
    guide="cut-over-and-roll-back",
)
TOKENS, PACE_S = 50, 0.005
SOON_S = 10.0


def flask_app() -> Flask:
    app = Flask(__name__)
    generated: list[str] = []
    left, ended = threading.Event(), threading.Event()

    def tokens() -> Iterator[str]:
        try:
            for _ in range(TOKENS):
                generated.append("token ")
                yield generated[-1]
                left.wait(SOON_S)
                time.sleep(PACE_S)
        finally:
            ended.set()

    @app.get("/chat")
    def chat() -> Iterator[str]:
        return tokens()

    @app.get("/generated")
    def count() -> str:
        left.set()
        ended.wait(SOON_S)
        return str(len(generated))

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()
    app.mount("/", WSGIMiddleware(flask_app()))  # type: ignore[arg-type]  # a2wsgi has its own ASGI types
    return app


def fixed_app() -> FastAPI:
    app = FastAPI()
    generated: list[str] = []
    left, ended = asyncio.Event(), asyncio.Event()

    async def tokens() -> AsyncIterator[str]:
        try:
            for _ in range(TOKENS):
                generated.append("token ")
                yield generated[-1]
                await asyncio.wait_for(left.wait(), SOON_S)
                await asyncio.sleep(PACE_S)
        finally:
            ended.set()

    @app.get("/chat")
    async def chat() -> StreamingResponse:
        return StreamingResponse(tokens())

    @app.get("/generated")
    async def count() -> int:
        left.set()
        await asyncio.wait_for(ended.wait(), SOON_S)
        return len(generated)

    return app


def probe(url: str) -> str:
    with httpx2.stream("GET", f"{url}/chat") as answer:
        next(answer.iter_raw())
    generated = int(httpx2.get(f"{url}/generated", timeout=2 * SOON_S).text)
    if generated < TOKENS:
        return "generation stops"
    return f"all {generated} tokens are generated and billed"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
