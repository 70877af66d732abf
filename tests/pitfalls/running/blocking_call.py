"""A call that blocks, such as a synchronous OpenAI() client, inside an endpoint."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx2
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a synchronous client of the model, called in `async def`",
    flask="the others go on",
    fastapi="the others wait",
    fixed="the others go on",
    fix="await an async client; a call that cannot be awaited goes into a def endpoint or `asyncio.to_thread`",
    guide="share-the-adapter",
)
NAPS, NAP_S = 100, 0.005


@dataclass
class Model:
    """Blocks its caller for NAPS naps, or until somebody else was answered meanwhile."""

    busy: bool = False
    others: bool = False

    def complete(self) -> str:
        self.busy = True
        for _ in range(NAPS):
            if self.others:
                break
            time.sleep(NAP_S)
        self.busy = False
        return "the others go on" if self.others else "the others wait"

    def somebody_else(self) -> None:
        self.others |= self.busy


def flask_app() -> Flask:
    app = Flask(__name__)
    model = Model()

    @app.get("/chat")
    def chat() -> str:
        return model.complete()

    @app.get("/other")
    def other() -> str:
        model.somebody_else()
        return ""

    return app


def fastapi_app() -> FastAPI:
    model = Model()
    app = _with_others(model)

    @app.get("/chat", response_class=PlainTextResponse)
    async def chat() -> str:
        return model.complete()

    return app


def fixed_app() -> FastAPI:
    model = Model()
    app = _with_others(model)

    @app.get("/chat", response_class=PlainTextResponse)
    def chat() -> str:
        return model.complete()

    return app


def _with_others(model: Model) -> FastAPI:
    app = FastAPI()

    @app.get("/other")
    async def other() -> None:
        model.somebody_else()

    return app


def probe(url: str) -> str:
    with httpx2.Client(base_url=url, timeout=60) as others, ThreadPoolExecutor(1) as pool:
        chat = pool.submit(httpx2.get, f"{url}/chat", timeout=60)
        while not chat.done():
            others.get("/other")
    return chat.result().text


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
