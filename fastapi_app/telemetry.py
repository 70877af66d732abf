"""What is observed: a request's id, and what the process holds now."""

import asyncio
from typing import cast

from fastapi import FastAPI, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import telemetry
from shared.telemetry import REQUEST_ID_HEADER, choose_request_id

from .services import Services


# region: request-id
def install(app: FastAPI) -> None:
    """Gives every request an id and every response its header."""
    app.add_middleware(_RequestId)


def request_id(request: Request) -> str:
    """The id of this request."""
    return cast(str, request.state.request_id)


# region: gauges
def exposition(held: Services) -> bytes:
    """The gauges of this process, in Prometheus's text format."""
    return telemetry.exposition(
        {
            telemetry.IN_FLIGHT: held.slots.in_use,
            telemetry.QUEUED_BYTES: sum(answer.queued_bytes for answer in held.drain.running),
            telemetry.TASKS: len(asyncio.all_tasks()),
        }
    )


# region: middleware
class _RequestId:
    """Pure ASGI: a BaseHTTPMiddleware would cost a task and a queue for every chunk of a stream."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chosen = choose_request_id(Headers(scope=scope).get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = chosen

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = chosen
            await send(message)

        await self._app(scope, receive, send_with_id)
