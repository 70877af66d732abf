"""The record of a stream that breaks in its middle."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import httpx2
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="the provider fails behind the first token, and the record is a background task",
    article="BackgroundTasks log each stream when it is over",
    flask="finished: recorded; broken: recorded",
    fastapi="finished: recorded; broken: lost",
    fixed="finished: recorded; broken: recorded",
    fix="write the record in a finally of the stream itself",
    guide="background-work-and-teardown",
)


def flask_app() -> Flask:
    app = Flask(__name__)
    records: list[str] = []

    @app.get("/chat/<end>")
    def chat(end: str) -> Response:
        def tokens() -> Iterator[str]:
            yield "one "
            if end == "broken":
                raise ConnectionError("the provider has gone")
            yield "two"

        response = Response(tokens())
        response.call_on_close(lambda: records.append(end))
        return response

    @app.get("/records")
    def recorded() -> list[str]:
        return records

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()
    records: list[str] = []

    @app.get("/chat/{end}")
    async def chat(end: str, background: BackgroundTasks) -> StreamingResponse:
        async def tokens() -> AsyncIterator[str]:
            yield "one "
            if end == "broken":
                raise ConnectionError("the provider has gone")
            yield "two"

        background.add_task(records.append, end)
        return StreamingResponse(tokens())

    @app.get("/records")
    async def recorded() -> list[str]:
        return records

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()
    records: list[str] = []

    @app.get("/chat/{end}")
    async def chat(end: str) -> StreamingResponse:
        async def tokens() -> AsyncIterator[str]:
            try:
                yield "one "
                if end == "broken":
                    raise ConnectionError("the provider has gone")
                yield "two"
            finally:
                records.append(end)

        return StreamingResponse(tokens())

    @app.get("/records")
    async def recorded() -> list[str]:
        return records

    return app


def probe(url: str) -> str:
    assert httpx2.get(f"{url}/chat/finished").text == "one two"
    # uvicorn cuts the connection when the app is over; werkzeug ends the body.
    with suppress(httpx2.RemoteProtocolError):
        assert httpx2.get(f"{url}/chat/broken").text == "one "
    records = httpx2.get(f"{url}/records").json()
    return "; ".join(
        f"{end}: {'recorded' if end in records else 'lost'}" for end in ("finished", "broken")
    )


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
