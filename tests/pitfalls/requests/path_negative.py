"""A negative number where the path wants a number."""

import httpx2
from fastapi import FastAPI
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="GET /orders/-5 where the route takes an int",
    flask="404",
    fastapi="200, number -5",
    fixed="404",
    fix="`/orders/{number:int}` takes digits only, as `<int:number>` does; a bare `{number}` takes any int",
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
    answer = httpx2.get(f"{url}/orders/-5")
    return "404" if answer.status_code == 404 else f"200, number {answer.json()['number']}"


def observe(ground: Ground) -> Observation:
    wrong, right = fastapi_app("/orders/{number}"), fastapi_app("/orders/{number:int}")
    return each(ground, probe, flask_app(), wrong, right)
