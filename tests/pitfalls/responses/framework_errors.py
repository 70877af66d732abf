"""The errors that the framework answers by itself."""

from http import HTTPStatus

import httpx2
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from flask import Flask
from starlette.exceptions import HTTPException

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a path that is not there, a method that is not allowed",
    flask="404 and 405 as HTML",
    fastapi="404 and 405 with `detail`",
    fixed="404 and 405 with `error`",
    fix="one handler for the `HTTPException` of Starlette; one for FastAPI's own does not see these",
    guide="errors-and-validation",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/orders")
    def orders() -> dict[str, int]:
        return {"count": 1}

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/orders")
    async def orders() -> dict[str, int]:
        return {"count": 1}

    return app


def fixed_app() -> FastAPI:
    app = fastapi_app()

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        body = {"error": HTTPStatus(error.status_code).phrase}
        return JSONResponse(body, error.status_code, error.headers)

    return app


def _form(answer: httpx2.Response) -> str:
    if answer.headers["Content-Type"].startswith("text/html"):
        return "as HTML"
    (name,) = answer.json()
    return f"with `{name}`"


def probe(url: str) -> str:
    absent, refused = httpx2.get(f"{url}/nothing"), httpx2.delete(f"{url}/orders")
    assert _form(absent) == _form(refused)
    return f"{absent.status_code} and {refused.status_code} {_form(absent)}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
