"""A session that Flask opened, after a route of FastAPI wrote into its own."""

import httpx2
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI, Request
from flask import Flask, session
from starlette.middleware.sessions import SessionMiddleware

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="who is still logged in at Flask, after a moved route wrote into its session",
    flask="ada",
    fastapi="nobody",
    fixed="ada",
    fix="give `SessionMiddleware` a `session_cookie` of its own: both frameworks call theirs `session`",
    guide="auth-and-limits",
)
SECRET = "the same in both apps"


def flask_app() -> Flask:
    app = Flask(__name__)
    app.secret_key = SECRET

    @app.post("/login")
    def login() -> str:
        session["user"] = "ada"
        return ""

    @app.post("/theme")
    def theme() -> str:
        session["theme"] = "dark"
        return ""

    @app.get("/me")
    def me() -> str:
        return str(session.get("user", "nobody"))

    return app


def fastapi_app() -> FastAPI:
    return _migrating("session")


def fixed_app() -> FastAPI:
    return _migrating("fastapi_session")


def _migrating(cookie: str) -> FastAPI:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, session_cookie=cookie)

    @app.post("/theme")
    async def theme(request: Request) -> None:
        request.session["theme"] = "dark"

    app.mount("/", WSGIMiddleware(flask_app()))  # type: ignore[arg-type]  # a2wsgi has its own ASGI types
    return app


def probe(url: str) -> str:
    with httpx2.Client(base_url=url) as browser:
        browser.post("/login")
        browser.post("/theme")
        return browser.get("/me").text


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
