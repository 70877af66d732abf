"""The order of the keys."""

import json
from typing import Any

import httpx2
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="keys of a JSON answer, returned as size, colour",
    flask="colour, size",
    fastapi="size, colour",
    fixed="colour, size",
    fix="compare what was parsed; a `JSONResponse` with `sort_keys=True` where bytes are signed",
    guide="verify",
)


class LikeFlask(JSONResponse):
    def render(self, content: Any) -> bytes:
        return json.dumps(content, sort_keys=True).encode()


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/order")
    def order() -> dict[str, str]:
        return {"size": "XL", "colour": "red"}

    return app


def fastapi_app(app: FastAPI) -> FastAPI:
    @app.get("/order")
    async def order() -> dict[str, str]:
        return {"size": "XL", "colour": "red"}

    return app


def probe(url: str) -> str:
    return ", ".join(httpx2.get(f"{url}/order").json())


def observe(ground: Ground) -> Observation:
    fixed = fastapi_app(FastAPI(default_response_class=LikeFlask))
    return each(ground, probe, flask_app(), fastapi_app(FastAPI()), fixed)
