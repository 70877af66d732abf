"""The record of a stream that breaks in its middle."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, suppress

import httpx2
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Application, Ground

PITFALL = Pitfall(
    title="a background task records; the provider fails behind the first token, or the server's grace ends",
    article="BackgroundTasks log each stream when it is over",
    flask="finished: recorded; broken: recorded",
    fastapi="finished: recorded; broken: lost; drained by force: lost",
    fixed="finished: recorded; broken: recorded; drained by force: recorded",
    fix="write the record in a finally of the stream itself",
    guide="background-work-and-teardown",
    number=10,
)
DRAINED = "drained by force"
ENDS = ("finished", "broken", DRAINED)


def flask_app(records: list[str]) -> Flask:
    app = Flask(__name__)

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

    return app


async def ending(end: str) -> None:
    """What the provider does behind the first token."""
    if end == "broken":
        raise ConnectionError("the provider has gone")
    if end == DRAINED:
        await asyncio.Event().wait()


def fastapi_app(records: list[str]) -> FastAPI:
    app = FastAPI()

    @app.get("/chat/{end}")
    async def chat(end: str, background: BackgroundTasks) -> StreamingResponse:
        async def tokens() -> AsyncIterator[str]:
            yield "one "
            await ending(end)
            yield "two"

        background.add_task(records.append, end)
        return StreamingResponse(tokens())

    return app


def fixed_app(records: list[str]) -> FastAPI:
    app = FastAPI()

    @app.get("/chat/{end}")
    async def chat(end: str) -> StreamingResponse:
        async def tokens() -> AsyncIterator[str]:
            try:
                yield "one "
                await ending(end)
                yield "two"
            finally:
                records.append(end)

        return StreamingResponse(tokens())

    return app


def probe(ground: Ground, application: Application, ends: Sequence[str], records: list[str]) -> str:
    """What became of the record of each stream; the last of them is still running when the server stops."""
    with ExitStack() as opened, ground.serving(application) as url:
        assert httpx2.get(f"{url}/chat/finished").text == "one two"
        # uvicorn cuts the connection when the app is over; werkzeug ends the body.
        with suppress(httpx2.RemoteProtocolError):
            assert httpx2.get(f"{url}/chat/broken").text == "one "
        if DRAINED in ends:
            answer = opened.enter_context(httpx2.stream("GET", f"{url}/chat/{DRAINED}"))
            texts = answer.iter_text()  # held: it closes the connection when it goes
            assert next(texts) == "one "
    return "; ".join(f"{end}: {'recorded' if end in records else 'lost'}" for end in ends)


def observe(ground: Ground) -> Observation:
    of_flask, by_task, by_finally = list[str](), list[str](), list[str]()
    flask = probe(ground, flask_app(of_flask), ENDS[:2], of_flask)
    fastapi = probe(ground, fastapi_app(by_task), ENDS, by_task)
    fixed = probe(ground, fixed_app(by_finally), ENDS, by_finally)
    evidence = (
        f"{len(ENDS)} streams, one of each end ({', '.join(ENDS)}): the background task recorded"
        f" {len(by_task)}, the finally {len(by_finally)}"
    )
    return Observation(flask, fastapi, fixed, evidence)
