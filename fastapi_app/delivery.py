"""How an answer leaves: a stream of events while it is made, or one JSON for clients that have not moved."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar

from fastapi import Request, Response

from shared.auth import Caller
from shared.errors import BadRequest
from shared.schemas import ChatRequest

from .services import services
from .stream import EventStream, disconnected
from .telemetry import request_id

_T = TypeVar("_T")


async def deliver(chat: ChatRequest, who: Caller, request: Request) -> Response:
    """Starts an answer; a client that leaves takes the provider's request with it."""
    held = services(request)
    if _wants_stream(chat, request):
        return EventStream(held, chat, request_id(request))
    answer = held.llm.complete(chat, request_id=request_id(request))
    reply = await _while_connected(request, answer)
    return Response(reply.model_dump_json(), media_type="application/json")


def _wants_stream(chat: ChatRequest, request: Request) -> bool:
    accepts = "text/event-stream" in request.headers.get("Accept", "")
    return chat.stream or accepts or request.method == "GET"


async def _while_connected(request: Request, work: Coroutine[None, None, _T]) -> _T:
    """The result of the work, which is cancelled when the client leaves; nobody reads the error then."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(disconnected(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise BadRequest
        return task.result()
    finally:
        for started in (task, gone):
            started.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await started
