"""A word where the path wants a number."""

import httpx2
from fastapi import FastAPI
from fastapi.exceptions import HTTPException
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="GET /orders/seven where the route takes an int",
    flask="404",
    fastapi="422",
    fixed="404",
    fix="take the segment as str and refuse what is no number with a 404",
    guide="errors-and-validation",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/orders/<int:number>")
    def order(number: int) -> dict[str, int]:
        return {"number": number}

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/orders/{number}")
    async def order(number: int) -> dict[str, int]:
        return {"number": number}

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/orders/{number}")
    async def order(number: str) -> dict[str, int]:
        if not (number.isascii() and number.isdigit()):
            raise HTTPException(404)
        return {"number": int(number)}

    return app


def probe(url: str) -> str:
    return str(httpx2.get(f"{url}/orders/seven").status_code)


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
