"""A route with a slash at its end, asked for without it."""

import httpx2
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="GET /orders where the route is /orders/",
    flask="308 to /orders/",
    fastapi="307 to /orders/",
    fixed="308 to /orders/",
    fix="`FastAPI(redirect_slashes=False)`, and a permanent redirect of your own where callers rely on it",
    guide="move-one-endpoint",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/orders/")
    def orders() -> dict[str, int]:
        return {"count": 1}

    return app


def fastapi_app(app: FastAPI) -> FastAPI:
    @app.get("/orders/")
    async def orders() -> dict[str, int]:
        return {"count": 1}

    return app


def fixed_app() -> FastAPI:
    app = fastapi_app(FastAPI(redirect_slashes=False))

    @app.get("/orders", include_in_schema=False)
    async def moved() -> RedirectResponse:
        return RedirectResponse("/orders/", 308)

    return app


def probe(url: str) -> str:
    answer = httpx2.get(f"{url}/orders")
    return f"{answer.status_code} to {answer.headers['Location'].removeprefix(url)}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(FastAPI()), fixed_app())
