"""The streaming stack with knobs of its own turned wrong, as KNOB_WRONG names them: what `make knobs` compares.

`KNOB_WRONG=no-x-accel,sleep-0 uvicorn --factory examples.knobs:app --http fastapi_app.connection:Connection`.
"""

import asyncio
import dataclasses
import os
from collections.abc import AsyncGenerator, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_app.app import create_app
from fastapi_app.services import open_services
from shared.llm.port import AsyncLLM
from shared.schemas import ChatReply, ChatRequest, Delta, Done
from shared.settings import Settings

NO_X_ACCEL, SLEEP, WHOLE_UPSTREAM = "no-x-accel", "sleep-0", "whole-upstream"
X_ACCEL = b"x-accel-buffering"


class KnobError(ValueError):
    """KNOB_WRONG names a knob that there is not."""


def app() -> ASGIApp:
    """The stack as a server loads it; raises KnobError."""
    wrong = frozenset(filter(None, os.environ.get("KNOB_WRONG", "").split(",")))
    if unknown := wrong - {NO_X_ACCEL, SLEEP, WHOLE_UPSTREAM}:
        raise KnobError(f"KNOB_WRONG: there is no {', '.join(sorted(unknown))}")
    settings = Settings.load()
    held = open_services(settings)
    if WHOLE_UPSTREAM in wrong:
        held = dataclasses.replace(held, llm=_Whole(held.llm))
    served: ASGIApp = create_app(settings, held)
    if NO_X_ACCEL in wrong:
        served = _sending(served, _without_x_accel)
    return _sending(served, _sleeping) if SLEEP in wrong else served


class _Whole:
    """An adapter whose upstream is asked with `stream=False`: its one delta is the whole answer."""

    def __init__(self, llm: AsyncLLM) -> None:
        self._llm = llm

    async def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        return await self._llm.complete(request, request_id=request_id)

    async def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> AsyncGenerator[Delta | Done, None]:
        reply = await self._llm.complete(request, request_id=request_id)
        yield Delta((reply.text,), reply.id, reply.model)
        yield Done(**reply.model_dump(exclude={"text"}))

    async def close(self) -> None:
        await self._llm.close()


def _sending(served: ASGIApp, turned: Callable[[Send], Send]) -> ASGIApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        await served(scope, receive, turned(send) if scope["type"] == "http" else send)

    return wrapped


def _without_x_accel(send: Send) -> Send:
    async def without(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [pair for pair in message["headers"] if pair[0] != X_ACCEL]
        await send(message)

    return without


def _sleeping(send: Send) -> Send:
    async def sleeping(message: Message) -> None:
        await send(message)
        await asyncio.sleep(0)

    return sleeping
