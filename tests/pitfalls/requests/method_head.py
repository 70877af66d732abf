"""HEAD, as load balancers and link checkers send it."""

import httpx2
from fastapi import FastAPI
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="HEAD on a route for GET",
    flask="200",
    fastapi="405",
    fixed="200",
    fix='`@app.api_route(path, methods=["GET", "HEAD"])` where someone asks so',
    guide="move-one-endpoint",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app


def fastapi_app(methods: list[str]) -> FastAPI:
    app = FastAPI()

    @app.api_route("/healthz", methods=methods)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app


def probe(url: str) -> str:
    answer = httpx2.head(f"{url}/healthz")
    assert answer.content == b""
    return str(answer.status_code)


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(["GET"]), fastapi_app(["GET", "HEAD"]))
