"""When what a request holds is closed, and the answer is a stream."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx2
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, stream_with_context

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="`teardown_request` under `stream_with_context`, moved to a `yield` dependency",
    flask="closed before the first token, and again after the last",
    fastapi="closed before the first token",
    current="closed after the last token",
    fixed="closed after the last token",
    fix="open what the stream needs in its generator; a `yield` dependency outlasts a stream only from 0.118",
    guide="background-work-and-teardown",
)
SOON_S = 10.0
MOMENTS = {
    ("token", "token", "closed"): "after the last token",
    ("closed", "token", "token"): "before the first token",
    ("closed", "token", "token", "closed"): "before the first token, and again after the last",
}


def flask_app() -> Flask:
    app = Flask(__name__)
    order: list[str] = []

    @app.get("/chat")
    def chat() -> Iterator[str]:
        def tokens() -> Iterator[str]:
            for _ in range(2):
                order.append("token")
                yield "token "

        return stream_with_context(tokens())

    @app.teardown_request
    def close(_: BaseException | None) -> None:
        order.append("closed")

    @app.get("/order")
    def told() -> list[str]:
        return order

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()
    order: list[str] = []
    closed = _telling(app, order)

    async def connection() -> AsyncIterator[None]:
        yield
        order.append("closed")
        closed.set()

    async def tokens() -> AsyncIterator[str]:
        for _ in range(2):
            order.append("token")
            yield "token "

    @app.get("/chat", dependencies=[Depends(connection)])
    async def chat() -> StreamingResponse:
        return StreamingResponse(tokens())

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()
    order: list[str] = []
    closed = _telling(app, order)

    async def tokens() -> AsyncIterator[str]:
        try:
            for _ in range(2):
                order.append("token")
                yield "token "
        finally:
            order.append("closed")
            closed.set()

    @app.get("/chat")
    async def chat() -> StreamingResponse:
        return StreamingResponse(tokens())

    return app


def _telling(app: FastAPI, order: list[str]) -> asyncio.Event:
    closed = asyncio.Event()

    @app.get("/order")
    async def told() -> list[str]:
        await asyncio.wait_for(closed.wait(), SOON_S)
        return order

    return closed


def probe(url: str) -> str:
    assert httpx2.get(f"{url}/chat").text == "token token "
    order = httpx2.get(f"{url}/order", timeout=2 * SOON_S).json()
    return f"closed {MOMENTS.get(tuple(order), order)}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
