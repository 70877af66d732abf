"""A moment without a zone, as many databases give it."""

from datetime import UTC, datetime

import httpx2
from fastapi import FastAPI
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a datetime without a zone in a JSON answer",
    flask="says GMT",
    fastapi="says no zone: a browser takes it for its own",
    fixed="says Z, which is GMT",
    fix="give it its zone before it is returned: `paid.replace(tzinfo=UTC)`",
    guide="share-the-models",
)
PAID = datetime(2026, 1, 2, 3, 4)
WORDS = {
    "Fri, 02 Jan 2026 03:04:00 GMT": PITFALL.flask,
    "2026-01-02T03:04:00": PITFALL.fastapi,
    "2026-01-02T03:04:00Z": PITFALL.fixed,
}


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/order")
    def order() -> dict[str, datetime]:
        return {"paid": PAID}

    return app


def fastapi_app(paid: datetime) -> FastAPI:
    app = FastAPI()

    @app.get("/order")
    async def order() -> dict[str, datetime]:
        return {"paid": paid}

    return app


def probe(url: str) -> str:
    return WORDS[httpx2.get(f"{url}/order").json()["paid"]]


def observe(ground: Ground) -> Observation:
    fixed = fastapi_app(PAID.replace(tzinfo=UTC))
    return each(ground, probe, flask_app(), fastapi_app(PAID), fixed)
