"""The synchronous OpenAI client, iterated inside an async generator."""

import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Application, Ground

PITFALL = Pitfall(
    title="for chunk in OpenAI().chat.completions.create(stream=True) inside async def",
    article="a synchronous OpenAI() client is iterated inside the async generator that streams",
    flask="the others go on",
    fastapi="the others wait",
    fixed="the others go on",
    fix="take AsyncOpenAI and async for",
    guide="share-the-adapter",
    number=4,
)
PATIENCE_S = 1.0
MESSAGES: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "hello"}]


def upstream_app() -> Flask:
    """A provider that falls silent behind its first token, until another request is sent and it is told that
    this one was answered, or its patience ends."""
    app = Flask("upstream")
    events = {name: threading.Event() for name in ("asked", "sent", "answered")}

    @app.post("/v1/chat/completions")
    def completions() -> Response:
        def chunks() -> Iterator[str]:
            events["asked"].set()
            yield token("one")
            events["sent"].wait(10)
            events["answered"].wait(PATIENCE_S)
            yield token("two")
            yield "data: [DONE]\n\n"

        return Response(chunks(), mimetype="text/event-stream")

    @app.get("/asked")
    def asked() -> dict[str, bool]:
        return {"asked": events["asked"].wait(10)}

    @app.post("/<name>")
    def told(name: str) -> dict[str, bool]:
        events[name].set()
        return {name: True}

    return app


def token(text: str) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {"id": "a", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n"


def flask_app(upstream: str) -> Flask:
    app = Flask(__name__)
    order: list[str] = []

    @app.get("/chat")
    def chat() -> Response:
        def chunks() -> Iterator[str]:
            with OpenAI(base_url=f"{upstream}/v1", api_key="k", max_retries=0) as client:
                for chunk in client.chat.completions.create(
                    model="m", messages=MESSAGES, stream=True
                ):
                    yield chunk.choices[0].delta.content or ""
            order.append("the stream ends")

        return Response(chunks(), mimetype="text/plain")

    @app.get("/other")
    def other() -> list[str]:
        order.append("another request")
        return order

    return app


def fastapi_app(upstream: str) -> FastAPI:
    app = FastAPI()
    order: list[str] = []

    @app.get("/chat")
    async def chat() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            with OpenAI(base_url=f"{upstream}/v1", api_key="k", max_retries=0) as client:
                for chunk in client.chat.completions.create(
                    model="m", messages=MESSAGES, stream=True
                ):
                    yield chunk.choices[0].delta.content or ""
            order.append("the stream ends")

        return StreamingResponse(chunks())

    @app.get("/other")
    async def other() -> list[str]:
        order.append("another request")
        return order

    return app


def fixed_app(upstream: str) -> FastAPI:
    app = FastAPI()
    order: list[str] = []

    @app.get("/chat")
    async def chat() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            async with AsyncOpenAI(base_url=f"{upstream}/v1", api_key="k", max_retries=0) as client:
                async for chunk in await client.chat.completions.create(
                    model="m", messages=MESSAGES, stream=True
                ):
                    yield chunk.choices[0].delta.content or ""
            order.append("the stream ends")

        return StreamingResponse(chunks())

    @app.get("/other")
    async def other() -> list[str]:
        order.append("another request")
        return order

    return app


def probe(url: str, upstream: str) -> tuple[str, float]:
    """In words, and how long the other request took, in milliseconds."""
    with (
        ThreadPoolExecutor() as threads,
        httpx2.Client(base_url=upstream, timeout=30) as provider,
        closing(HTTPConnection(urlsplit(url).netloc, timeout=30)) as other,
    ):
        other.connect()
        stream = threads.submit(httpx2.get, f"{url}/chat", timeout=30)
        provider.get("/asked").raise_for_status()
        started = time.monotonic_ns()
        other.request("GET", "/other")
        provider.post("/sent").raise_for_status()
        order = json.load(other.getresponse())
        took_ms = (time.monotonic_ns() - started) / 1e6
        provider.post("/answered").raise_for_status()
        assert stream.result().text == "onetwo"
    words = "the others go on" if order[0] == "another request" else "the others wait"
    return words, took_ms


def observe(ground: Ground) -> Observation:
    def seen(make: Callable[[str], Application]) -> tuple[str, float]:
        with ground.serving(upstream_app()) as upstream, ground.serving(make(upstream)) as url:
            return probe(url, upstream)

    flask, _ = seen(flask_app)
    (fastapi, blocked_ms), (fixed, free_ms) = seen(fastapi_app), seen(fixed_app)
    evidence = (
        f"the model was silent for {PATIENCE_S:g} s: beside OpenAI() another request took {blocked_ms:,.0f} ms,"
        f" beside AsyncOpenAI() {free_ms:,.0f} ms"
    )
    return Observation(flask, fastapi, fixed, evidence)
