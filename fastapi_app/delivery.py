"""How an answer leaves: a stream of events while it is made, or one JSON for clients that have not moved."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

from fastapi import Request, Response
from starlette.types import Receive

from shared.auth import Caller
from shared.errors import AnswerTimeout, Draining, ReaderLost, ServiceError
from shared.schemas import ChatReply, ChatRequest

from .limits import admitted
from .services import services
from .stream import EventStream
from .telemetry import request_id
from .writer import disconnected


# region: deliver
async def deliver(chat: ChatRequest, who: Caller, request: Request) -> Response:
    """Starts an answer; a client that leaves takes the provider's request with it."""
    held = services(request)
    if _wants_stream(chat, request):
        return EventStream(held, chat, who, request_id(request))
    held.drain.check()
    with held.slots.taken():
        async with admitted(held, who):
            with held.begin(chat, who, request_id(request), "batch") as entry:
                whole = _Whole(held.llm.complete(chat, request_id=request_id(request)))
                with held.drain.counting(whole):
                    reply = await whole.reply(request.receive, held.settings.answer_timeout_s)
                body = reply.model_dump_json().encode()
                entry.tokens, entry.bytes = reply.tokens, len(body)
    return Response(body, media_type="application/json")


def _wants_stream(chat: ChatRequest, request: Request) -> bool:
    accepts = "text/event-stream" in request.headers.get("Accept", "").lower()
    return chat.stream or accepts or request.method == "GET"


# region: leaving
class _Whole:
    """A batch answer under way, which ends with its client, at its deadline, or with the worker."""

    queued_bytes = 0

    def __init__(self, work: Coroutine[None, None, ChatReply]) -> None:
        self._work = asyncio.create_task(work)
        self._stopped_by: ServiceError | None = None

    async def reply(self, receive: Receive, most_s: float) -> ChatReply:
        """Raises ReaderLost, AnswerTimeout or Draining when that is what ended it."""
        watcher = asyncio.create_task(self._watch(receive))
        deadline = asyncio.get_running_loop().call_later(most_s, self._stop, AnswerTimeout())
        try:
            return await self._work
        except asyncio.CancelledError:
            if self._stopped_by is None:
                raise
            raise self._stopped_by from None
        finally:
            deadline.cancel()
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    def cut(self) -> None:
        self._stop(Draining())

    abandon = cut  # nobody reads before it is whole

    async def _watch(self, receive: Receive) -> None:
        await disconnected(receive)
        self._stop(ReaderLost())

    def _stop(self, error: ServiceError) -> None:
        self._stopped_by = self._stopped_by or error
        self._work.cancel()
