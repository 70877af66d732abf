"""An amount of money, from a route that does not say what it returns."""

from decimal import Decimal

import httpx2
from fastapi import FastAPI
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a Decimal in what a route without a return type answers",
    flask='the string "1.10"',
    fastapi="the number 1.1",
    fixed='the string "1.10"',
    fix="give the route its return type, a model or `dict[str, Decimal]`",
    guide="share-the-models",
)
PRICE = {"price": Decimal("1.10")}


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/order")
    def order() -> dict[str, Decimal]:
        return PRICE

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/order")
    async def order():  # type: ignore[no-untyped-def]  # the missing type is the point
        return PRICE

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/order")
    async def order() -> dict[str, Decimal]:
        return PRICE

    return app


def probe(url: str) -> str:
    price = httpx2.get(f"{url}/order").json()["price"]
    return f'the string "{price}"' if isinstance(price, str) else f"the number {price}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
