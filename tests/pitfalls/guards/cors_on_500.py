"""What a browser of another origin may read of an unhandled exception's 500."""

import httpx2
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from flask import Flask, Response
from starlette.types import ASGIApp

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="an unhandled exception, asked for from another origin",
    flask="500 with the CORS header",
    fastapi="500 without the CORS header",
    fixed="500 with the CORS header",
    fix="wrap the finished app, `CORSMiddleware(app, ...)`; a handler of Exception answers outside it as well",
    guide="errors-and-validation",
)
PAGE = "https://chat.example"


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.after_request
    def cors(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = PAGE
        return response

    @app.get("/chat")
    def chat() -> str:
        raise LookupError("unforeseen")

    return app


def fastapi_app() -> FastAPI:
    app = _failing()
    app.add_middleware(CORSMiddleware, allow_origins=[PAGE])
    return app


def fixed_app() -> ASGIApp:
    return CORSMiddleware(_failing(), allow_origins=[PAGE])


def _failing() -> FastAPI:
    app = FastAPI()

    @app.get("/chat")
    async def chat() -> str:
        raise LookupError("unforeseen")

    return app


def probe(url: str) -> str:
    answer = httpx2.get(f"{url}/chat", headers={"Origin": PAGE})
    allowed = answer.headers.get("Access-Control-Allow-Origin") == PAGE
    return f"{answer.status_code} {'with' if allowed else 'without'} the CORS header"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
