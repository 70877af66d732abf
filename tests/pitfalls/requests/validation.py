"""A body that does not validate."""

import httpx2
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from flask import Flask, request
from pydantic import BaseModel, ValidationError

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="POST of a body that does not validate",
    flask="400, a text in `error`",
    fastapi="422, a list in `detail`",
    fixed="400, a text in `error`",
    fix="a handler for `RequestValidationError` that answers with the one error body",
    guide="errors-and-validation",
)
MESSAGE = "the body is not valid"


class Order(BaseModel):
    number: int


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.post("/orders")
    def order() -> dict[str, int] | tuple[dict[str, str], int]:
        try:
            return {"number": Order.model_validate(request.get_json()).number}
        except ValidationError:
            return {"error": MESSAGE}, 400

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.post("/orders")
    async def order(order: Order) -> dict[str, int]:
        return {"number": order.number}

    return app


def fixed_app() -> FastAPI:
    app = fastapi_app()

    @app.exception_handler(RequestValidationError)
    async def refused(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": MESSAGE}, 400)

    return app


def probe(url: str) -> str:
    answer = httpx2.post(f"{url}/orders", json={"number": "seven"})
    ((name, value),) = answer.json().items()
    return f"{answer.status_code}, a {'list' if isinstance(value, list) else 'text'} in `{name}`"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
