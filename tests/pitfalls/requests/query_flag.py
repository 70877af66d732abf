"""A flag that is switched off with a zero."""

import httpx2
from fastapi import FastAPI
from flask import Flask, request

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="`?flag=0` read as a bool",
    flask="True",
    fastapi="False",
    fixed="True",
    fix="take it as str and call `bool()` on it, until every caller sends what it means",
    guide="errors-and-validation",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/search")
    def search() -> dict[str, bool]:
        return {"flag": request.args.get("flag", default=False, type=bool)}

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/search")
    async def search(flag: bool = False) -> dict[str, bool]:
        return {"flag": flag}

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/search")
    async def search(flag: str = "") -> dict[str, bool]:
        return {"flag": bool(flag)}

    return app


def probe(url: str) -> str:
    return str(httpx2.get(f"{url}/search?flag=0").json()["flag"])


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
