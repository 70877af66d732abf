"""A body and its status, returned as a pair."""

from typing import Any

import httpx2
from fastapi import FastAPI
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="`return body, 201`",
    flask="201, the body",
    fastapi="200, a list of the body and 201",
    fixed="201, the body",
    fix="`@app.post(path, status_code=201)`, or return a `JSONResponse(body, 201)`",
    guide="move-one-endpoint",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.post("/orders")
    def order() -> tuple[dict[str, int], int]:
        return {"number": 7}, 201

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.post("/orders")
    async def order() -> Any:
        return {"number": 7}, 201

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.post("/orders", status_code=201)
    async def order() -> Any:
        return {"number": 7}

    return app


def probe(url: str) -> str:
    answer = httpx2.post(f"{url}/orders")
    body = answer.json()
    what = "a list of the body and 201" if body == [{"number": 7}, 201] else "the body"
    return f"{answer.status_code}, {what}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
