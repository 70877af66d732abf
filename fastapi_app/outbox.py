"""What is read from the provider and not yet written to the client: one bounded queue, and its one ending."""

import asyncio

from shared.errors import ServiceError
from shared.record import Outcome
from shared.schemas import Delta, Done, Event
from shared.settings import Settings

from .sse import PING, Coalescer, failure
from .watchdog import Watchdog


# region: outbox
class Outbox:
    """`full` is its bound in items and bytes; `outcome` and `code` are those of the first end that came.

    The writer is woken once a chunk: when one is due, when its window has passed, or when a heartbeat is.
    """

    ping = PING

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self._coalescer = Coalescer(settings.coalesce_tokens)
        self._items, self._bytes = settings.queue_items, settings.queue_bytes
        self._window_s = settings.coalesce_ms / 1000
        self._due = asyncio.Event()
        self._room = asyncio.Event()
        self._window: asyncio.TimerHandle | None = None
        self._writes = Watchdog(settings.heartbeat_s, self._due.set)
        self._begun = False
        self.outcome: Outcome = "failed"
        self.code: str | None = None
        self.ended = False
        self.closed = False
        self.refusal: ServiceError | None = None

    @property
    def full(self) -> bool:
        held = self._coalescer
        return held.pending_items >= self._items or held.pending_bytes >= self._bytes

    @property
    def pending_bytes(self) -> int:
        return self._coalescer.pending_bytes

    # region: put
    async def room(self) -> None:
        """Returns when the writer has taken what filled the outbox."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def put(self, delta: Delta) -> None:
        """Takes tokens; none behind the end."""
        if self.ended:
            return
        self._begun = True
        if self._coalescer.feed(delta) or self.full:
            self._due.set()
        elif self._window is None:
            self._window = self._loop.call_at(self._writes.touched + self._window_s, self._due.set)

    # region: endings
    def finish(self, done: Done, outcome: Outcome = "finished") -> None:
        """Ends the stream well."""
        self._end(done, outcome, None)

    def fail(self, error: ServiceError, request_id: str) -> None:
        """Ends the stream: with the error's status when nothing was promised yet, else with its event."""
        if self.ended:
            return
        if not self._begun:
            self.refusal = error
        self._end(failure(error, request_id), error.outcome, error.code)

    def close(self) -> None:
        """Nobody reads any more."""
        self.closed = True
        self._writes.cancel()
        if self._window is not None:
            self._window.cancel()
        self._due.set()

    # region: take
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
        self._writes.touch()
        return self._coalescer.flush()

    def _end(self, event: Event, outcome: Outcome, code: str | None) -> None:
        if self.ended:
            return
        self.ended = self._begun = True
        self.outcome, self.code = outcome, code
        self._coalescer.feed(event)
        self._due.set()
