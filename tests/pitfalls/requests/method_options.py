"""OPTIONS, which Flask answers by itself."""

import httpx2
from fastapi import FastAPI, Response
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="OPTIONS on a route for GET",
    flask="200, Allow: GET, HEAD, OPTIONS",
    fastapi="405, Allow: GET",
    fixed="200, Allow: GET, HEAD, OPTIONS",
    fix="`@app.options(path)` where someone asks so; for the preflights of browsers `CORSMiddleware`",
    guide="move-one-endpoint",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/orders")
    def orders() -> dict[str, int]:
        return {"count": 1}

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/orders")
    async def orders() -> dict[str, int]:
        return {"count": 1}

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.api_route("/orders", methods=["GET", "HEAD"])
    async def orders() -> dict[str, int]:
        return {"count": 1}

    @app.options("/orders")
    async def options() -> Response:
        return Response(headers={"Allow": "GET, HEAD, OPTIONS"})

    return app


def probe(url: str) -> str:
    answer = httpx2.options(f"{url}/orders")
    allowed = ", ".join(sorted(answer.headers["Allow"].split(", ")))
    return f"{answer.status_code}, Allow: {allowed}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
