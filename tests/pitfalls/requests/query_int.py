"""A query argument that is no number, where there is a default."""

import httpx2
from fastapi import FastAPI
from flask import Flask, request

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="`?limit=` sent empty, where the limit is an int with a default of 10",
    flask="200, limit 10",
    fastapi="422",
    fixed="200, limit 10",
    fix="take it as str and fall back to the default by hand where callers rely on it",
    guide="errors-and-validation",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/search")
    def search() -> dict[str, int]:
        return {"limit": request.args.get("limit", default=10, type=int)}

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/search")
    async def search(limit: int = 10) -> dict[str, int]:
        return {"limit": limit}

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/search")
    async def search(limit: str = "") -> dict[str, int]:
        return {"limit": int(limit) if limit.isdecimal() else 10}

    return app


def probe(url: str) -> str:
    answer = httpx2.get(f"{url}/search?limit=")
    limit = f", limit {answer.json()['limit']}" if answer.status_code == 200 else ""
    return f"{answer.status_code}{limit}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
