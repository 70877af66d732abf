"""Which of two middlewares meets a request first."""

import httpx2
from fastapi import FastAPI, Request
from flask import Flask, g
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="auth is registered, then limits",
    flask="auth, limits",
    fastapi="limits, auth",
    fixed="auth, limits",
    fix="`add_middleware` puts the last one outermost: list them in order in `FastAPI(middleware=[...])`",
    guide="auth-and-limits",
)
ORDER = ("auth", "limits")


class Passing:
    """Middleware that writes its name down."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("passed", []).append(self.name)
        await self.app(scope, receive, send)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.before_request
    def auth() -> None:
        g.passed = ["auth"]

    @app.before_request
    def limits() -> None:
        g.passed.append("limits")

    @app.get("/passed")
    def passed() -> list[str]:
        return list(g.passed)

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()
    for name in ORDER:
        app.add_middleware(Passing, name=name)
    return _answering(app)


def fixed_app() -> FastAPI:
    return _answering(FastAPI(middleware=[Middleware(Passing, name=name) for name in ORDER]))


def _answering(app: FastAPI) -> FastAPI:
    @app.get("/passed")
    async def passed(request: Request) -> list[str]:
        return list(request.scope["passed"])

    return app


def probe(url: str) -> str:
    return ", ".join(httpx2.get(f"{url}/passed").json())


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
