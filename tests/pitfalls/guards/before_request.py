"""A guard of Flask's before_request, and a route beside it that FastAPI answers itself."""

import httpx2
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from flask import Flask, abort, request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="GET /chat without a key: guarded by `before_request`, moved to FastAPI with Flask behind it",
    flask="401, with the key 200",
    fastapi="200, with the key 200",
    fixed="401, with the key 200",
    fix="guard the whole app with pure ASGI middleware, or each router with `dependencies=[Depends(...)]`",
    guide="auth-and-limits",
)
KEY = {"X-API-Key": "open sesame"}


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.before_request
    def guard() -> None:
        if request.headers.get("X-API-Key") != KEY["X-API-Key"]:
            abort(401)

    @app.get("/chat")
    def chat() -> str:
        return "answer"

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/chat")
    async def chat() -> str:
        return "answer"

    app.mount("/", WSGIMiddleware(flask_app()))  # type: ignore[arg-type]  # a2wsgi has its own ASGI types
    return app


def fixed_app() -> ASGIApp:
    app = fastapi_app()

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and Headers(scope=scope).get("X-API-Key") != KEY["X-API-Key"]:
            await PlainTextResponse("who are you?", 401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guard


def probe(url: str) -> str:
    without = httpx2.get(f"{url}/chat").status_code
    return f"{without}, with the key {httpx2.get(f'{url}/chat', headers=KEY).status_code}"


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
