"""JSON that does not say that it is JSON."""

from typing import Annotated

import httpx2
from fastapi import Depends, FastAPI, Header, HTTPException
from flask import Flask, request
from pydantic import BaseModel

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="JSON sent without a Content-Type",
    flask="415",
    fastapi="200",
    current="422",
    fixed="415",
    fix="a dependency that answers 415 to whatever is not application/json",
    guide="errors-and-validation",
)


class Order(BaseModel):
    number: int


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.post("/orders")
    def order() -> dict[str, int]:
        return {"number": request.get_json()["number"]}

    return app


async def require_json(content_type: Annotated[str, Header()] = "") -> None:
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise HTTPException(415)


def fastapi_app(app: FastAPI) -> FastAPI:
    @app.post("/orders")
    async def order(order: Order) -> dict[str, int]:
        return {"number": order.number}

    return app


def probe(url: str) -> str:
    body = b'{"number": 7}'
    said = {"Content-Type": "application/json; charset=utf-8"}
    assert httpx2.post(f"{url}/orders", content=body, headers=said).status_code == 200
    return str(httpx2.post(f"{url}/orders", content=body).status_code)


def observe(ground: Ground) -> Observation:
    fixed = FastAPI(dependencies=[Depends(require_json)])
    return each(ground, probe, flask_app(), fastapi_app(FastAPI()), fastapi_app(fixed))
