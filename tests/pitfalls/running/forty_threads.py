"""How many answers are in the making at once when each has a thread."""

import http.client
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="41 requests at once to a `def` endpoint that takes its time",
    flask="41 in work",
    fastapi="40 in work, 1 waits for a thread",
    fixed="41 in work",
    fix="`async def` and an async client, or set `total_tokens` of anyio's default thread limiter at start",
    guide="move-one-endpoint",
)
REQUESTS = 41
SOON_S = 10.0
PAUSE_S = 0.005


class Model:
    """Answers nobody before it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.asked: list[None] = []

    def complete(self) -> str:
        self.asked.append(None)
        self.may.wait(2 * SOON_S)
        return "answer"


def flask_app() -> Flask:
    app = Flask(__name__)
    model = Model()

    @app.get("/chat")
    def chat() -> str:
        return model.complete()

    @app.get("/counts")
    def counts() -> list[int]:
        return [len(model.asked), 0]

    @app.post("/answer")
    def answer() -> str:
        model.may.set()
        return ""

    return app


def fastapi_app() -> FastAPI:
    return _with_chat(FastAPI())


def fixed_app() -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = 100
        yield

    return _with_chat(FastAPI(lifespan=lifespan))


def _with_chat(app: FastAPI) -> FastAPI:
    model = Model()

    @app.get("/chat")
    def chat() -> str:
        return model.complete()

    @app.get("/counts")
    async def counts() -> list[int]:
        return [len(model.asked), current_default_thread_limiter().statistics().tasks_waiting]

    @app.post("/answer")
    async def answer() -> None:
        model.may.set()

    return app


def probe(url: str) -> str:
    clients = [
        http.client.HTTPConnection(urlsplit(url).netloc, timeout=60) for _ in range(REQUESTS)
    ]
    for client in clients:
        client.request("GET", "/chat")
    try:
        working, waiting = _all_arrived(url)
    finally:
        httpx2.post(f"{url}/answer")
        for client in clients:
            client.getresponse().read()
            client.close()
    return f"{working} in work" + (f", {waiting} waits for a thread" if waiting else "")


def _all_arrived(url: str) -> tuple[int, int]:
    deadline = time.monotonic() + SOON_S
    while time.monotonic() < deadline:
        working, waiting = httpx2.get(f"{url}/counts").json()
        if working + waiting == REQUESTS:
            return working, waiting
        time.sleep(PAUSE_S)
    raise TimeoutError(f"{working} + {waiting} of {REQUESTS} arrived within {SOON_S:g} s")


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
