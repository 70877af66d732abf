"""A session that Flask opened, read by a route of FastAPI under the same secret key."""

from http.cookies import SimpleCookie

import httpx2
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadSignature
from starlette.middleware.sessions import SessionMiddleware

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="who is logged in, after the login stayed in Flask: `SessionMiddleware` with Flask's `secret_key`",
    flask="ada",
    fastapi="nobody",
    fixed="ada",
    fix="read Flask's cookie with `SecureCookieSessionInterface().get_signing_serializer(flask_app)`",
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

    @app.get("/me")
    def me() -> str:
        return str(session.get("user", "nobody"))

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=SECRET)

    @app.get("/me", response_class=PlainTextResponse)
    async def me(request: Request) -> str:
        return str(request.session.get("user", "nobody"))

    app.mount("/", WSGIMiddleware(flask_app()))  # type: ignore[arg-type]  # a2wsgi has its own ASGI types
    return app


def fixed_app() -> FastAPI:
    app = FastAPI()
    legacy = flask_app()
    cookies = SecureCookieSessionInterface().get_signing_serializer(legacy)
    assert cookies is not None
    lifetime_s = int(legacy.permanent_session_lifetime.total_seconds())

    @app.get("/me", response_class=PlainTextResponse)
    async def me(request: Request) -> str:
        try:
            kept = cookies.loads(request.cookies.get("session", ""), max_age=lifetime_s)
        except BadSignature:
            kept = {}
        return str(kept.get("user", "nobody"))

    app.mount("/", WSGIMiddleware(legacy))  # type: ignore[arg-type]  # a2wsgi has its own ASGI types
    return app


def probe(url: str) -> str:
    login = httpx2.post(f"{url}/login")
    cookie = SimpleCookie(login.headers["Set-Cookie"])["session"].OutputString([])
    return httpx2.get(f"{url}/me", headers={"Cookie": cookie}).text


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
