"""The test clients: one stops at a redirect, the other follows it."""

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi.testclient import TestClient
from flask import Flask, redirect
from werkzeug import Response

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Ground

PITFALL = Pitfall(
    title="the test client asks for a path that redirects",
    flask="302",
    fastapi="200, the page new",
    fixed="302",
    fix="`TestClient(app, follow_redirects=False)`",
    guide="verify",
)


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/old")
    def old() -> Response:
        return redirect("/new")

    @app.get("/new")
    def new() -> dict[str, str]:
        return {"page": "new"}

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/old")
    async def old() -> RedirectResponse:
        return RedirectResponse("/new", 302)

    @app.get("/new")
    async def new() -> dict[str, str]:
        return {"page": "new"}

    return app


def probe(client: TestClient) -> str:
    answer = client.get("/old")
    return (
        f"200, the page {answer.json()['page']}" if answer.is_success else str(answer.status_code)
    )


def observe(ground: Ground) -> Observation:
    """In process: what the clients do is the point."""
    return Observation(
        str(flask_app().test_client().get("/old").status_code),
        probe(TestClient(fastapi_app())),
        probe(TestClient(fastapi_app(), follow_redirects=False)),
    )
