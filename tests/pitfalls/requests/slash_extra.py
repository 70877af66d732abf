"""A route without a slash at its end, asked for with one."""

import httpx2
from fastapi import FastAPI
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="POST /orders/ where the route is /orders",
    flask="404",
    fastapi="307 to /orders",
    fixed="404",
    fix="`FastAPI(redirect_slashes=False)`",
    guide="move-one-endpoint",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.post("/orders")
    def orders() -> dict[str, int]:
        return {"count": 1}

    return app


def fastapi_app(app: FastAPI) -> FastAPI:
    @app.post("/orders")
    async def orders() -> dict[str, int]:
        return {"count": 1}

    return app


def probe(url: str) -> str:
    answer = httpx2.post(f"{url}/orders/")
    target = answer.headers.get("Location", "").removeprefix(url)
    return f"{answer.status_code} to {target}" if target else str(answer.status_code)


def observe(ground: Ground) -> Observation:
    fixed = fastapi_app(FastAPI(redirect_slashes=False))
    return each(ground, probe, flask_app(), fastapi_app(FastAPI()), fixed)
