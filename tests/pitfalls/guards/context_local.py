"""A thread-local stands in for g, and two requests are answered at the same time."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from flask import Flask, g

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="two users at once, each kept where g was: in a `threading.local` or a global",
    flask="each request sees its own user",
    fastapi="one request sees the other's user",
    fixed="each request sees its own user",
    fix="all requests of an event loop share one thread: keep the value in `request.state` or pass it on",
    guide="move-one-endpoint",
)
USERS = ("ada", "bob")
BOTH_S = 10.0  # no request is alone for longer


def flask_app() -> Flask:
    app = Flask(__name__)
    both = threading.Barrier(len(USERS), timeout=BOTH_S)

    @app.get("/me/<user>")
    def me(user: str) -> str:
        g.user = user
        both.wait()
        return str(g.user)

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI(default_response_class=PlainTextResponse)
    both = asyncio.Barrier(len(USERS))
    local = threading.local()

    @app.get("/me/{user}")
    async def me(user: str) -> str:
        local.user = user
        await asyncio.wait_for(both.wait(), BOTH_S)
        return str(local.user)

    return app


def fixed_app() -> FastAPI:
    app = FastAPI(default_response_class=PlainTextResponse)
    both = asyncio.Barrier(len(USERS))

    @app.get("/me/{user}")
    async def me(user: str, request: Request) -> str:
        request.state.user = user
        await asyncio.wait_for(both.wait(), BOTH_S)
        return str(request.state.user)

    return app


def probe(url: str) -> str:
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda user: httpx2.get(f"{url}/me/{user}", timeout=2 * BOTH_S), USERS)
        seen = [answer.text for answer in answers]
    if seen == list(USERS):
        return "each request sees its own user"
    strangers = {seen[0], seen[-1]} < set(USERS)
    return "one request sees the other's user" if strangers else ", ".join(seen)


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
