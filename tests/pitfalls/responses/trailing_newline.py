"""What stands after the last brace."""

import json
from typing import Any

import httpx2
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="the last byte of a JSON answer",
    flask="a newline",
    fastapi="a brace",
    fixed="a newline",
    fix="compare what was parsed, not bytes or lengths; a `JSONResponse` that adds it for a reader of lines",
    guide="verify",
)


class LikeFlask(JSONResponse):
    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode() + b"\n"


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/order")
    def order() -> dict[str, str]:
        return {"name": "Ada"}

    return app


def fastapi_app(app: FastAPI) -> FastAPI:
    @app.get("/order")
    async def order() -> dict[str, str]:
        return {"name": "Ada"}

    return app


def probe(url: str) -> str:
    body = httpx2.get(f"{url}/order").content
    return "a newline" if body.endswith(b"\n") else "a brace" if body.endswith(b"}") else "?"


def observe(ground: Ground) -> Observation:
    fixed = fastapi_app(FastAPI(default_response_class=LikeFlask))
    return each(ground, probe, flask_app(), fastapi_app(FastAPI()), fixed)
