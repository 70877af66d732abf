"""One producer, one bounded queue, one writer, one ending.

The producer reads the provider; the outbox joins what it read into chunks and bounds it; the writer
sends. A reader that is slow fills the outbox, which stops the producer, which stops reading the
provider's socket. Whatever ends the stream closes the provider's request.
"""

import asyncio
import logging
from contextlib import aclosing

from fastapi import Response
from starlette.types import Receive, Scope, Send

from shared.errors import InternalError, ServiceError
from shared.schemas import ChatRequest, Event, Failure
from shared.settings import Settings

from .services import Services
from .sse import MEDIA_TYPE, PING, Coalescer

HEADERS = {
    "Content-Type": MEDIA_TYPE,
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx takes it from the response; as a request header it does nothing
}
log = logging.getLogger(__name__)


class EventStream(Response):
    """An answer as Server-Sent Events; a provider that fails before its first token gets its true status."""

    def __init__(self, services: Services, chat: ChatRequest, request_id: str) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._services = services
        self._chat = chat
        self._request_id = request_id
        self._outbox = Outbox(services.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        producer = asyncio.create_task(self._produce())
        watcher = asyncio.create_task(self._watch(receive))
        try:
            await self._write(send)
        finally:
            self._outbox.close()
            producer.cancel()
            watcher.cancel()
            await asyncio.gather(producer, watcher, return_exceptions=True)

    async def _produce(self) -> None:
        stream = self._services.llm.stream(self._chat, request_id=self._request_id)
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if self._outbox.full:
                        await self._outbox.room()
                    self._outbox.put(event)
        except ServiceError as error:
            self._outbox.fail(error, self._request_id)
        except Exception:
            log.exception("request %s failed", self._request_id)
        finally:
            # Nothing is put behind an end: this one is for a producer that broke, stopped or was cancelled.
            self._outbox.fail(InternalError(), self._request_id)

    async def _watch(self, receive: Receive) -> None:
        await disconnected(receive)
        self._outbox.close()

    async def _write(self, send: Send) -> None:
        """Commits the 200 with the first item, or after the wait for it, so that heartbeats can begin."""
        outbox = self._outbox
        await outbox.first(self._services.settings.first_item_wait_s)
        if outbox.refusal:
            raise outbox.refusal
        if outbox.closed:
            return
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        while not outbox.closed:
            ended = outbox.ended
            body = outbox.take() or PING
            await send({"type": "http.response.body", "body": body, "more_body": not ended})
            if ended:
                return
            await outbox.due()


class Outbox:
    """What is read and not yet written; `full` is its bound in items and bytes.

    The writer is woken once a chunk: when one is due, when its window has passed, or when a heartbeat is.
    """

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self._coalescer = Coalescer(settings.coalesce_tokens)
        self._items, self._bytes = settings.queue_items, settings.queue_bytes
        self._window_s = settings.coalesce_ms / 1000
        self._heartbeat_s = settings.heartbeat_s
        self._due = asyncio.Event()
        self._room = asyncio.Event()
        self._window: asyncio.TimerHandle | None = None
        self._beat = self._loop.call_later(settings.heartbeat_s, self._heartbeat)
        self._written = self._loop.time()
        self._begun = False
        self.ended = False
        self.closed = False
        self.refusal: ServiceError | None = None

    @property
    def full(self) -> bool:
        held = self._coalescer
        return held.pending_items >= self._items or held.pending_bytes >= self._bytes

    async def room(self) -> None:
        """Returns when the writer has taken what filled the outbox."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def put(self, event: Event) -> None:
        """Takes an event of the producer; none behind the first that is terminal."""
        if self.ended:
            return
        self._begun = True
        self.ended = event.event != "delta"
        if self._coalescer.feed(event) or self.full:
            self._due.set()
        elif self._window is None:
            self._window = self._loop.call_at(self._written + self._window_s, self._due.set)

    def fail(self, error: ServiceError, request_id: str) -> None:
        """Ends the stream: with the error's status when nothing was promised yet, else with its event."""
        if not self._begun:
            self.refusal = error
        failure = Failure(
            code=error.code,
            message=error.message,
            request_id=request_id,
            retryable=error.retryable,
        )
        self.put(failure)

    def close(self) -> None:
        """Nobody reads any more."""
        self.closed = True
        self._beat.cancel()
        if self._window is not None:
            self._window.cancel()
        self._due.set()

    async def first(self, most_s: float) -> None:
        """Returns with the first event, with the failure that came instead, or after `most_s` seconds.

        A heartbeat that is due before then cuts the wait short.
        """
        patience = self._loop.call_later(most_s, self._due.set)
        await self._due.wait()
        patience.cancel()
        self._begun = True

    async def due(self) -> None:
        """Returns when something is to be written: a chunk, a heartbeat, or nothing more."""
        await self._due.wait()

    def take(self) -> bytes:
        """The chunk that is due; empty when it is a heartbeat that is."""
        if self._window is not None:
            self._window.cancel()
            self._window = None
        self._due.clear()
        self._room.set()
        self._written = self._loop.time()
        return self._coalescer.flush()

    def _heartbeat(self) -> None:
        silent = self._loop.time() - self._written
        if silent >= self._heartbeat_s:
            self._due.set()
            silent = 0.0
        self._beat = self._loop.call_later(self._heartbeat_s - silent, self._heartbeat)


async def disconnected(receive: Receive) -> None:
    """Returns when the client has left; the server says so whatever ASGI version it speaks."""
    while (await receive())["type"] != "http.disconnect":
        pass
