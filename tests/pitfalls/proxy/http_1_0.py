"""What nginx 1.22 speaks to the app when nothing else is said."""

import http.client
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

from tests.pitfalls import two_events
from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Ground
from tests.pitfalls.proxies import BUFFERING, nginx
from tests.pitfalls.servers import gunicorn
from tests.pitfalls.two_events import FIRST, PATIENCE_S, First, probe

PITFALL = Pitfall(
    title="nginx's defaults, HTTP/1.0 and proxy_buffering on; Flask on gunicorn, FastAPI on uvicorn",
    article="nginx passes on what the app sends, when it is sent",
    flask="the first event waits for the end; half a stream looks whole",
    # uvicorn with httptools sends chunks, which HTTP/1.0 does not know, and nginx reads them.
    fastapi="the first event comes at once; half a stream is seen to be half",
    fixed="the first event comes at once; half a stream is seen to be half",
    fix="proxy_http_version 1.1, with an empty Connection header, and proxy_buffering off",
    guide="proxy",
    number=1,
)
DEFAULTS = (("proxy_http_version 1.1;", "proxy_http_version 1.0;"), BUFFERING)
SMALL, SMALL_BYTES, PAUSE_S = 32, 1024, 0.005


@dataclass(frozen=True, slots=True)
class Passed:
    """The first event of a stream, and whether one that broke in its middle looked whole."""

    first: First
    looks_whole: bool

    @property
    def words(self) -> str:
        half = "looks whole" if self.looks_whole else "is seen to be half"
        return f"{self.first.words}; half a stream {half}"


def flask_app() -> Flask:
    app = two_events.flask_app()

    @app.get("/broken")
    def broken() -> Response:
        def chunks() -> Iterator[str]:
            yield FIRST
            raise ConnectionError("the provider has gone")

        return Response(chunks(), mimetype="text/event-stream")

    @app.get("/small")
    def small() -> Response:
        def chunks() -> Iterator[str]:
            for _ in range(SMALL):
                yield "x" * SMALL_BYTES
                time.sleep(PAUSE_S)

        return Response(chunks(), mimetype="text/event-stream")

    return app


def fastapi_app() -> FastAPI:
    app = two_events.fastapi_app()

    @app.get("/broken")
    async def broken() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            yield FIRST
            raise ConnectionError("the provider has gone")

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


def reads(url: str) -> list[int]:
    """The sizes in bytes in which a body comes; raises IncompleteRead for one that is not whole."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as client:
        client.request("GET", urlsplit(url).path)
        answer = client.getresponse()
        return [len(data) for data in iter(answer.read1, b"")]


def looks_whole(url: str) -> bool:
    try:
        return bool(reads(f"{url}/broken"))
    except http.client.IncompleteRead:
        return False


def passed(url: str, app: str) -> Passed:
    return Passed(probe(url, app), looks_whole(url))


def observe(ground: Ground) -> Observation:
    with gunicorn(ground.folder, f"{__name__}:flask_app()", "gthread", "--threads", "4") as app:
        with nginx(app.url, ground.folder, *DEFAULTS) as proxy:
            flask, lumps = passed(proxy.url, app.url), reads(f"{proxy.url}/small")
        with nginx(app.url, ground.folder) as proxy:
            fixed, whole = passed(proxy.url, app.url), reads(f"{proxy.url}/small")
    with ground.serving(fastapi_app()) as url, nginx(url, ground.folder, *DEFAULTS) as proxy:
        fastapi = passed(proxy.url, url)
    evidence = (
        f"gunicorn by HTTP/1.0: the first event after {flask.first.took_ms:,.0f} ms, at the end of a stream of"
        f" {PATIENCE_S:g} s, and {SMALL} events of {SMALL_BYTES:,} bytes in {len(lumps)} reads of up to"
        f" {max(lumps):,}; by HTTP/1.1, as shipped: after {fixed.first.took_ms:.1f} ms, in {len(whole)} reads;"
        f" uvicorn by HTTP/1.0, which still sends chunks: after {fastapi.first.took_ms:.1f} ms"
    )
    return Observation(flask.words, fastapi.words, fixed.words, evidence)
