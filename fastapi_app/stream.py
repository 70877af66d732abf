"""One producer, one bounded queue, one writer, one ending.

The producer reads the provider; the outbox joins what it read into chunks and bounds it; the writer
sends. A reader that is slow fills the outbox, which stops the producer, which stops reading the
provider's socket. Whatever ends the stream closes the provider's request and is recorded once.
"""

import asyncio
import logging
from contextlib import aclosing

from fastapi import Response
from starlette.types import Message, Receive, Scope, Send

from shared.auth import Caller
from shared.errors import (
    AnswerTimeout,
    FirstTokenTimeout,
    InternalError,
    ServiceError,
    TokenTimeout,
)
from shared.schemas import ChatRequest, Delta, Done
from shared.streamlog import Entry

from .connection import transport_of
from .limits import admitted
from .outbox import Outbox
from .services import Services
from .sse import MEDIA_TYPE
from .watchdog import Watchdog
from .writer import Writer

HEADERS = {
    "Content-Type": MEDIA_TYPE,
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx takes it from the response; as a request header it does nothing
}
log = logging.getLogger(__name__)


# region: event-stream
class EventStream(Response):
    """An answer as Server-Sent Events; a provider that fails before its first token gets its true status.

    Background tasks run behind an answer that was finished, and behind no other; the record is of every one.
    """

    def __init__(self, services: Services, chat: ChatRequest, who: Caller, request_id: str) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._services = services
        self._chat = chat
        self._who = who
        self._request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = self._services
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        held.drain.check()
        with held.slots.taken():
            async with admitted(held, self._who):
                entry = held.begin(self._chat, self._who, self._request_id, "stream")
                relay = Relay(held, self._chat, entry, transport_of(scope, receive))
                with held.drain.counting(relay.writer):
                    await relay.run(receive, send, start)
        if relay.writer.outcome == "finished" and self.background is not None:
            await self.background()


# region: relay
class Relay:
    """One stream under way: what is read from the provider on one side, its writer on the other."""

    def __init__(
        self,
        services: Services,
        chat: ChatRequest,
        entry: Entry,
        transport: asyncio.WriteTransport | None,
    ) -> None:
        self._llm, self._settings = services.llm, services.settings
        self._chat = chat
        self._entry = entry
        self._outbox = Outbox(services.settings)
        self.writer = Writer(self._outbox, services.settings, entry.request_id, transport)

    # region: one-ending
    async def run(self, receive: Receive, send: Send, start: Message) -> None:
        """Returns when the answer has ended, however it did; raises the error that is its true status."""
        producer = asyncio.create_task(self._produce())
        overdue = asyncio.get_running_loop().call_later(
            self._settings.answer_timeout_s, self._fail, AnswerTimeout()
        )
        writer = self.writer
        try:
            await writer.run(receive, send, start)
        finally:
            overdue.cancel()
            producer.cancel()
            # Before anything is awaited: a server that cancels us once more takes no record with it.
            self._entry.bytes = writer.bytes
            self._entry.end(writer.outcome, writer.code)
            await asyncio.gather(producer, writer.left(), return_exceptions=True)

    # region: producer
    async def _produce(self) -> None:
        stream = self._llm.stream(self._chat, request_id=self._entry.request_id)
        silence = Watchdog(self._settings.first_token_timeout_s, self._silent)
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if self._outbox.full:
                        await self._outbox.room()
                    if self._take(event, silence):
                        break
        except ServiceError as error:
            self._fail(error)
        except Exception:
            log.exception("request %s failed", self._entry.request_id)
        finally:
            silence.cancel()
            # Nothing is put behind an end: this one is for a producer that broke, stopped or was cancelled.
            self._fail(InternalError())

    def _take(self, event: Delta | Done, silence: Watchdog) -> bool:
        """Passes an event on; true when the budget is spent and the provider has to stop."""
        entry = self._entry
        if isinstance(event, Done):
            entry.tokens = event.usage.completion_tokens if event.usage else entry.tokens
            self._outbox.finish(event)
            return False
        if not entry.tokens:
            entry.first_token()
            silence.restart(self._settings.token_timeout_s)
        else:
            silence.touch()
        left = (self._chat.max_tokens or self._settings.max_answer_tokens) - entry.tokens
        entry.tokens += min(left, len(event.pieces))
        if len(event.pieces) <= left:
            self._outbox.put(event)
            return False
        if left:
            self._outbox.put(Delta(event.pieces[:left]))
        done = Done(id=event.id, model=event.model, finish_reason="length")
        self._outbox.finish(done, "over_budget")
        return True

    # region: failing
    def _fail(self, error: ServiceError) -> None:
        self._outbox.fail(error, self._entry.request_id)

    def _silent(self) -> None:
        # A producer that waits for its reader does not wait for the provider.
        if not self._outbox.full:
            self._fail(TokenTimeout() if self._entry.tokens else FirstTokenTimeout())
