"""A tool that lists the routes of an app: an audit of who is guarded, a metric's labels."""

import httpx2
from fastapi import APIRouter, FastAPI
from flask import Blueprint, Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a list of `app.routes` after `include_router`",
    flask="has /v1/orders",
    fastapi="has /v1/orders",
    current="misses /v1/orders",
    fixed="has /v1/orders",
    fix='`app.openapi()["paths"]`; from 0.137.2 also `fastapi.routing.iter_route_contexts(app.routes)`',
    guide="move-to-the-current-fastapi",
)


def flask_app() -> Flask:
    app, v1 = Flask(__name__), Blueprint("v1", __name__)

    @v1.get("/orders")
    def orders() -> dict[str, int]:
        return {"count": 1}

    @app.get("/paths")
    def paths() -> list[str]:
        return [rule.rule for rule in app.url_map.iter_rules()]

    app.register_blueprint(v1, url_prefix="/v1")
    return app


def _app() -> FastAPI:
    app, v1 = FastAPI(), APIRouter()

    @v1.get("/orders")
    async def orders() -> dict[str, int]:
        return {"count": 1}

    app.include_router(v1, prefix="/v1")
    return app


def fastapi_app() -> FastAPI:
    app = _app()

    @app.get("/paths")
    async def paths() -> list[str]:
        return [getattr(route, "path", "") for route in app.routes]

    return app


def fixed_app() -> FastAPI:
    app = _app()

    @app.get("/paths")
    async def paths() -> list[str]:
        return list(app.openapi()["paths"])

    return app


def probe(url: str) -> str:
    assert httpx2.get(f"{url}/v1/orders").json() == {"count": 1}
    listed = "/v1/orders" in httpx2.get(f"{url}/paths").json()
    return f"{'has' if listed else 'misses'} /v1/orders"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
