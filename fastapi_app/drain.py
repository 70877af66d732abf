"""The end of a worker, led by the app: new work is refused, running answers get a grace, then their end.

The server is told of the signal only when nothing runs any more. Left to itself it would close its listener
first, so that nobody could ask whether it is ready, and it would wait for as long as a client stays.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from uvicorn import Server

from shared.errors import Draining

FLUSH_S = 0.3  # for a failure that was put, or a connection that was cut, to be gone


# region: drain
class Answer(Protocol):
    """An answer that is under way; `queued_bytes` wait in this process for its client."""

    @property
    def queued_bytes(self) -> int: ...

    def cut(self) -> None:
        """Ends it with `draining`, which its client is told."""

    def abandon(self) -> None:
        """Ends it at once: its client does not read."""


class Drain:
    """Knows the running answers of a worker; `draining` from the first SIGTERM or SIGINT on."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._wake = asyncio.Event()
        self._leading: asyncio.Task[None] | None = None
        self.running: set[Answer] = set()
        self.draining = False

    def check(self) -> None:
        """Raises Draining when no new work is taken."""
        if self.draining:
            raise Draining

    @contextmanager
    def counting(self, answer: Answer) -> Iterator[None]:
        """Holds the worker up, for its grace, until the answer has ended."""
        self.running.add(answer)
        try:
            yield
        finally:
            self.running.discard(answer)
            if not self.running:
                self._wake.set()

    # region: lead
    async def lead(self, grace_s: float) -> None:
        """Returns when nothing runs any more: at most `grace_s` and twice FLUSH_S later."""
        self.draining = True
        await self._empty(grace_s)
        for answer in tuple(self.running):
            answer.cut()
        await self._empty(FLUSH_S)
        for answer in tuple(self.running):
            answer.abandon()
        await self._empty(FLUSH_S)

    # region: signals
    def begin(self, leave: Callable[[], None], *, grace: bool = True) -> None:
        """Leads in the background and calls `leave` at the end; a second call ends the grace of the first."""
        if self._leading is not None:
            self._wake.set()
            return
        leading = self.lead(self._grace_s if grace else 0.0)
        self._leading = asyncio.get_running_loop().create_task(leading)
        self._leading.add_done_callback(lambda _: leave())

    @contextmanager
    def ahead_of_uvicorn(self) -> Iterator[None]:
        """Takes SIGTERM and SIGINT from uvicorn, and passes them on when the drain is over.

        SIGINT, a developer's Ctrl-C, has no grace.
        """
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        if not all(isinstance(getattr(h, "__self__", None), Server) for h in handlers.values()):
            yield
            return
        loop = asyncio.get_running_loop()

        def begin(number: int) -> None:
            handler: Any = handlers[signal.Signals(number)]
            self.begin(lambda: handler(number, None), grace=number == signal.SIGTERM)

        for number in handlers:
            signal.signal(number, lambda number, _: loop.call_soon_threadsafe(begin, number))
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    # region: waiting
    async def _empty(self, most_s: float) -> None:
        self._wake.clear()
        if self.running:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), most_s)
