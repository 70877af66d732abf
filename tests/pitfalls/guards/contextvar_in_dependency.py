"""A context variable that is set before the endpoint runs."""

from contextvars import ContextVar
from typing import Annotated

import httpx2
from fastapi import Depends, FastAPI, Header
from fastapi.responses import PlainTextResponse
from flask import Flask, request

from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="a `ContextVar` that `before_request` set, now set in a `def` dependency",
    flask="acme",
    fastapi="nobody",
    fixed="acme",
    fix="a def dependency runs in a thread with a copy of the context: write `async def`, or return the value",
    guide="auth-and-limits",
)
TENANT = ContextVar("tenant", default="nobody")


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.before_request
    def tenant() -> None:
        TENANT.set(request.headers["X-Tenant"])

    @app.get("/tenant")
    def told() -> str:
        return TENANT.get()

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI(default_response_class=PlainTextResponse)

    def tenant(x_tenant: Annotated[str, Header()]) -> None:
        TENANT.set(x_tenant)

    @app.get("/tenant", dependencies=[Depends(tenant)])
    async def told() -> str:
        return TENANT.get()

    return app


def fixed_app() -> FastAPI:
    app = FastAPI(default_response_class=PlainTextResponse)

    async def tenant(x_tenant: Annotated[str, Header()]) -> None:
        TENANT.set(x_tenant)

    @app.get("/tenant", dependencies=[Depends(tenant)])
    async def told() -> str:
        return TENANT.get()

    return app


def probe(url: str) -> str:
    return httpx2.get(f"{url}/tenant", headers={"X-Tenant": "acme"}).text


def observe(ground: Ground) -> Observation:
    return each(ground, probe, flask_app(), fastapi_app(), fixed_app())
