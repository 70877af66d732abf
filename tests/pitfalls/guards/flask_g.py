"""Code that both stacks call, and that reads flask.g."""

from typing import Annotated

import httpx2
from fastapi import FastAPI, Header
from flask import Flask, g, request

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a function that reads `flask.g`, called from a route of FastAPI",
    flask="200",
    fastapi="500",
    fixed="200",
    fix="pass the value as an argument: outside Flask's requests `g`, `session`, `current_app` raise",
    guide="move-one-endpoint",
)


def greeting() -> str:
    return f"hello {g.user}"


def greeting_of(user: str) -> str:
    return f"hello {user}"


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.before_request
    def user() -> None:
        g.user = request.headers["X-User"]

    @app.get("/hello")
    def hello() -> str:
        return greeting()

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    async def hello() -> str:
        return greeting()

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    async def hello(x_user: Annotated[str, Header()]) -> str:
        return greeting_of(x_user)

    return app


def probe(url: str) -> str:
    return str(httpx2.get(f"{url}/hello", headers={"X-User": "ada"}).status_code)


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
