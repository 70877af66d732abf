"""A float that JSON has no word for."""

import math

import httpx2
from fastapi import FastAPI
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a NaN in a JSON answer",
    flask="200, NaN, which is not JSON",
    fastapi="500",
    current="200, null",
    fixed="200, null",
    fix="return None for what is not finite; where no type is returned, the current release answers 500 too",
    guide="share-the-models",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/score")
    def score() -> dict[str, float]:
        return {"score": math.nan}

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/score")
    async def score() -> dict[str, float]:
        return {"score": math.nan}

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/score")
    async def score() -> dict[str, float | None]:
        value = math.nan
        return {"score": value if math.isfinite(value) else None}

    return app


def probe(url: str) -> str:
    answer = httpx2.get(f"{url}/score")
    words = {b'{"score":NaN}\n': ", NaN, which is not JSON", b'{"score":null}': ", null"}
    return f"{answer.status_code}{words.get(answer.content, '')}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
