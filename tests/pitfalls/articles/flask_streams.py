"""Streams out of Flask, and what each of them holds."""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Ground
from tests.servers import free_port, serving

PITFALL = Pitfall(
    title="three streams at once: gunicorn with two threads (fixed: with three), uvicorn with one",
    article="the Flask stack could not handle chunked transfer",
    flask="they stream, and the third waits for an end",
    fastapi="they stream, and the third goes on beside them",
    fixed="they stream, and the third goes on beside them",
    fix="Flask streams generators well: give it a thread for each stream, or move to where a coroutine will do",
    guide="decide",
    number=11,
)
PATIENCE_S = 1.0


def upstream_app(order: list[str]) -> Flask:
    """A provider whose streams end when three run, or when its patience with the third ends."""
    app = Flask("upstream")
    third_asked, third_runs = threading.Event(), threading.Event()

    @app.get("/tokens")
    def tokens() -> Response:
        def chunks() -> Iterator[str]:
            order.append("begins")
            if order.count("begins") == 3:
                third_runs.set()
            yield "one\n"
            third_asked.wait(10)
            third_runs.wait(PATIENCE_S)
            order.append("ends")
            yield "two\n"

        return Response(chunks(), mimetype="text/plain")

    @app.post("/third-asked")
    def asked() -> str:
        third_asked.set()
        return "ok"

    return app


def flask_app(upstream: str) -> Flask:
    app = Flask(__name__)
    client = httpx2.Client(timeout=30)

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[bytes]:
            with client.stream("GET", f"{upstream}/tokens") as answer:
                yield from answer.iter_raw()

        return Response(chunks(), mimetype="text/plain")

    @app.get("/readyz")
    def ready() -> str:
        return "ok"

    return app


def fastapi_app(upstream: str) -> FastAPI:
    client = httpx2.AsyncClient(timeout=30)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            async with client.stream("GET", f"{upstream}/tokens") as answer:
                async for chunk in answer.aiter_raw():
                    yield chunk

        return StreamingResponse(chunks())

    return app


@contextmanager
def gunicorn(ground: Ground, upstream: str, threads: int) -> Iterator[str]:
    port = free_port()
    options = ["--worker-class", "gthread", "--workers", "1", "--threads", str(threads)]
    where = f"{__name__}:flask_app({upstream!r})"
    arguments = ["gunicorn", *options, "--bind", f"127.0.0.1:{port}", where]
    with serving("gunicorn", arguments, port, ground.folder) as server:
        yield server.url


@dataclass(frozen=True, slots=True)
class Streams:
    """`third_ms` is how long the third request waited for its head."""

    words: str
    encoding: str | None
    third_ms: float


def probe(url: str, upstream: str, order: list[str]) -> Streams:
    with ExitStack() as opened, httpx2.Client(base_url=upstream) as provider:
        connections = [
            opened.enter_context(closing(HTTPConnection(urlsplit(url).netloc, timeout=30)))
            for _ in range(3)
        ]
        answers = [first_line_read(connection) for connection in connections[:2]]
        order.append("both are read")
        asked = time.monotonic_ns()
        connections[2].request("GET", "/stream")
        provider.post("/third-asked").raise_for_status()
        answers.append(connections[2].getresponse())
        third_ms = (time.monotonic_ns() - asked) / 1e6
        assert [answer.read() for answer in answers] == [b"two\n", b"two\n", b"one\ntwo\n"]
    streamed = order.index("both are read") < order.index("ends")
    beside = order[: order.index("ends")].count("begins") == 3
    how = "they stream" if streamed else "each is sent at its end"
    words = f"{how}, and the third {'goes on beside them' if beside else 'waits for an end'}"
    return Streams(words, answers[0].headers["Transfer-Encoding"], third_ms)


def first_line_read(connection: HTTPConnection) -> HTTPResponse:
    connection.request("GET", "/stream")
    answer = connection.getresponse()
    assert answer.readline() == b"one\n"
    return answer


def observe(ground: Ground) -> Observation:
    def seen_in_flask(threads: int) -> Streams:
        order: list[str] = []
        with (
            ground.serving(upstream_app(order)) as upstream,
            gunicorn(ground, upstream, threads) as url,
        ):
            return probe(url, upstream, order)

    def seen_in_fastapi() -> Streams:
        order: list[str] = []
        with (
            ground.serving(upstream_app(order)) as upstream,
            ground.serving(fastapi_app(upstream)) as url,
        ):
            return probe(url, upstream, order)

    two, fastapi, three = seen_in_flask(2), seen_in_fastapi(), seen_in_flask(3)
    evidence = (
        f"Flask's Transfer-Encoding is {two.encoding}; beside two streams of {PATIENCE_S:g} s the third"
        f" answer began after {two.third_ms:,.0f} ms with two threads, {three.third_ms:,.0f} ms with three,"
        f" {fastapi.third_ms:,.0f} ms with uvicorn's one"
    )
    return Observation(two.words, fastapi.words, three.words, evidence)
