"""A moment in an answer."""

from datetime import UTC, datetime
from typing import Annotated

import httpx2
from fastapi import FastAPI
from flask import Flask
from pydantic import BaseModel, PlainSerializer
from werkzeug.http import http_date

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a datetime in UTC in a JSON answer",
    flask="Fri, 02 Jan 2026 03:04:00 GMT",
    fastapi="2026-01-02T03:04:00Z",
    fixed="Fri, 02 Jan 2026 03:04:00 GMT",
    fix="a `PlainSerializer` that writes the old form, until every caller reads the new one",
    guide="share-the-models",
)
PAID = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


class Order(BaseModel):
    paid: datetime


class OldOrder(BaseModel):
    paid: Annotated[datetime, PlainSerializer(http_date)]


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/order")
    def order() -> dict[str, datetime]:
        return {"paid": PAID}

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/order")
    async def order() -> Order:
        return Order(paid=PAID)

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/order")
    async def order() -> OldOrder:
        return OldOrder(paid=PAID)

    return app


def probe(url: str) -> str:
    return str(httpx2.get(f"{url}/order").json()["paid"])


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
