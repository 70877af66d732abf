"""Both apps around a model adapter that has a bug, for gunicorn and uvicorn to load."""

from collections.abc import AsyncGenerator, Generator
from dataclasses import replace

from fastapi import FastAPI
from flask import Flask

import fastapi_app.app
import fastapi_app.services
import legacy_flask.app
import legacy_flask.services
from shared.schemas import ChatReply, ChatRequest, Delta, Done
from shared.settings import Settings

SECRET = "a-value-from-inside-an-exception"
MIDWAY = "midway"


class Buggy:
    """An adapter whose every answer is an exception that nobody foresaw."""

    def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        raise RuntimeError(SECRET)

    def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> Generator[Delta | Done, None, None]:
        yield Delta(("one", "two"))
        raise RuntimeError(SECRET)

    def close(self) -> None:
        """Nothing is held."""


class AsyncBuggy:
    """The same, awaited; fails before its first token unless the model is called `midway`."""

    async def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        raise RuntimeError(SECRET)

    async def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> AsyncGenerator[Delta | Done, None]:
        if request.model == MIDWAY:
            yield Delta(("one", "two"))
        raise RuntimeError(SECRET)

    async def close(self) -> None:
        """Nothing is held."""


def flask_app() -> Flask:
    settings = Settings.load()
    services = replace(legacy_flask.services.open_services(settings), llm=Buggy())
    return legacy_flask.app.create_app(settings, services)


def asgi_app() -> FastAPI:
    settings = Settings.load()
    services = replace(fastapi_app.services.open_services(settings), llm=AsyncBuggy())
    return fastapi_app.app.create_app(settings, services)
