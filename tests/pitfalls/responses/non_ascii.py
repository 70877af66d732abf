"""Letters beyond ASCII."""

import json
from typing import Any

import httpx2
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a letter beyond ASCII in a JSON answer",
    flask="an escape, `\\u00e9`",
    fastapi="UTF-8, é",
    fixed="an escape, `\\u00e9`",
    fix="both are the same JSON; a `JSONResponse` with `ensure_ascii=True` for readers without UTF-8",
    guide="verify",
)


class LikeFlask(JSONResponse):
    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True).encode()


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/order")
    def order() -> dict[str, str]:
        return {"name": "Café"}

    return app


def fastapi_app(app: FastAPI) -> FastAPI:
    @app.get("/order")
    async def order() -> dict[str, str]:
        return {"name": "Café"}

    return app


def probe(url: str) -> str:
    body = httpx2.get(f"{url}/order").content
    return PITFALL.flask if rb"\u00e9" in body else f"UTF-8, {body.decode()[-3]}"


def observe(ground: Ground) -> Observation:
    fixed = fastapi_app(FastAPI(default_response_class=LikeFlask))
    return each(ground, probe, flask_app(), fastapi_app(FastAPI()), fixed)
