"""A word where the path wants a number."""

import httpx2
from fastapi import FastAPI
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="GET /orders/seven where the route takes an int",
    flask="404",
    fastapi="422",
    fixed="404",
    fix="name the convertor in the path, as Flask does: `/orders/{number:int}`",
    guide="errors-and-validation",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/orders/<int:number>")
    def order(number: int) -> dict[str, int]:
        return {"number": number}

    return app


def fastapi_app(path: str) -> FastAPI:
    app = FastAPI()

    @app.get(path)
    async def order(number: int) -> dict[str, int]:
        return {"number": number}

    return app


def probe(url: str) -> str:
    assert httpx2.get(f"{url}/orders/7").json() == {"number": 7}
    return str(httpx2.get(f"{url}/orders/seven").status_code)


def observe(ground: Ground) -> Observation:
    wrong, right = fastapi_app("/orders/{number}"), fastapi_app("/orders/{number:int}")
    return each(ground, probe, flask_app(), wrong, right)
