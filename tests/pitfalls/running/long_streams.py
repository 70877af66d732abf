"""A stream that lasts longer than gunicorn's timeout; here it is Flask that must change."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Ground
from tests.pitfalls.servers import gunicorn

PITFALL = Pitfall(
    title="a stream longer than gunicorn's `--timeout`, on its default sync worker (FastAPI: on uvicorn)",
    flask="cut: WORKER TIMEOUT",
    fastapi="whole",
    fixed="whole",
    fix="this one is Flask's: `--worker-class gthread`, whose heartbeat does not wait for the answer",
    guide="deploy",
)
TIMEOUTS_S = (2, 8)  # gthread's heart beats once a second, so one second would be too short for it
PACE_S = 0.05
LONGEST_S = 20.0


def flask_app(cut: str) -> Flask:
    """Streams until the file `cut` is there: until a stream was cut, that is."""
    app = Flask(__name__)

    @app.get("/chat")
    def chat() -> Iterator[str]:
        yield "first"
        for _ in _paces(Path(cut)):
            time.sleep(PACE_S)
            yield " token"
        yield " last"

    return app


def fastapi_app(cut: str) -> FastAPI:
    app = FastAPI()

    async def tokens() -> AsyncIterator[str]:
        yield "first"
        for _ in _paces(Path(cut)):
            await asyncio.sleep(PACE_S)
            yield " token"
        yield " last"

    @app.get("/chat")
    async def chat() -> StreamingResponse:
        return StreamingResponse(tokens())

    return app


def _paces(cut: Path) -> Iterator[None]:
    for _ in range(round(LONGEST_S / PACE_S)):
        if cut.exists():
            return
        yield


class Reader:
    """A client in the middle of a stream."""

    def __init__(self, url: str) -> None:
        self._client = http.client.HTTPConnection(urlsplit(url).netloc, timeout=2 * LONGEST_S)
        self._client.request("GET", "/chat")
        self._answer = self._client.getresponse()
        self._begun = self._answer.read(len("first"))

    def read(self) -> str:
        try:
            text = self._begun + self._answer.read()
        except (http.client.IncompleteRead, ConnectionResetError):
            return "cut"
        finally:
            self._client.close()
        return "whole" if text.endswith(b"last") else f"{self._answer.status}: {text!r}"


def observe(ground: Ground) -> Observation:
    """On a machine so busy that a heartbeat of gthread came too late: again, with a longer timeout."""
    seen = _observe(ground, TIMEOUTS_S[0])
    return seen if seen.fixed == "whole" else _observe(ground, TIMEOUTS_S[1])


def _observe(ground: Ground, timeout_s: int) -> Observation:
    """The two that live are read to the end only once the third was cut: they outlasted it."""
    cut = ground.folder / f"cut-{timeout_s}"
    flask = f"{__name__}:flask_app({str(cut)!r})"
    options = ("--timeout", str(timeout_s), "--preload")  # imports must not count against a worker
    with ExitStack() as running:
        uvicorn = running.enter_context(ground.serving(fastapi_app(str(cut))))
        gthread = running.enter_context(gunicorn(ground.folder, flask, "gthread", *options))
        sync = running.enter_context(gunicorn(ground.folder, flask, "sync", *options))
        fastapi, fixed = Reader(uvicorn), Reader(gthread.url)
        seen = Reader(sync.url).read()
        reason = ": WORKER TIMEOUT" if sync.logged("WORKER TIMEOUT") else ""
        cut.touch()
        return Observation(seen + reason, fastapi.read(), fixed.read())
