"""Writes to one client, until there is nothing more, or the client has left or takes nothing."""

import asyncio
from typing import Protocol

from starlette.types import Message, Receive, Send

from shared.errors import Draining, ReaderLost, ServiceError, SlowReader
from shared.record import Outcome
from shared.settings import Settings

from .connection import sever, untaken
from .watchdog import Watchdog

LOOKS = 4  # within a send timeout, at what a client takes


# region: outlet
class Outlet(Protocol):
    """What a client is to be given; `outcome` and `code` say how it ends, once it has `ended`."""

    ping: bytes
    outcome: Outcome
    code: str | None
    refusal: ServiceError | None
    closed: bool

    @property
    def ended(self) -> bool: ...

    @property
    def pending_bytes(self) -> int: ...

    async def first(self, most_s: float) -> None:
        """Returns when the answer may begin, or is refused."""

    async def due(self) -> None:
        """Returns when something is to be written: a chunk, a heartbeat, or nothing more."""

    def take(self) -> bytes:
        """The chunk that is due; empty when it is a heartbeat that is."""

    def fail(self, error: ServiceError, request_id: str) -> None:
        """Ends it with this error, unless it has ended."""

    def close(self) -> None:
        """Nobody reads any more."""


# region: writer
class Writer:
    """One client being written to; its `outcome` is `cancelled` until another one is certain."""

    def __init__(
        self,
        outlet: Outlet,
        settings: Settings,
        request_id: str,
        transport: asyncio.WriteTransport | None,
    ) -> None:
        self._outlet = outlet
        self._settings = settings
        self._request_id = request_id
        self._transport = transport
        self._writing = asyncio.timeout(None)
        self._watcher: asyncio.Task[None] | None = None
        self._sending = False
        self._untaken, self._took_at = -1, 0.0
        self.bytes = 0
        self.outcome: Outcome = ReaderLost.outcome
        self.code: str | None = ReaderLost.code

    @property
    def queued_bytes(self) -> int:
        """What this process holds for the client: text in the outlet, frames in the transport."""
        transport = self._transport
        return self._outlet.pending_bytes + (transport.get_write_buffer_size() if transport else 0)

    def cut(self) -> None:
        self._outlet.fail(Draining(), self._request_id)

    def abandon(self) -> None:
        self.break_off(Draining())

    # region: run
    async def run(self, receive: Receive, send: Send, start: Message) -> None:
        """Returns when the client has all, or is given up; raises the error that is the true status.

        Nothing is awaited behind its end, so that a server which cancels once more takes nothing with it: the
        caller then waits for `left`.
        """
        self._watcher = asyncio.create_task(self._watch(receive))
        looks = Watchdog(self._settings.send_timeout_s / LOOKS, self._look_at_reader)
        try:
            async with self._writing:
                await self._write(send, start)
        except OSError:
            pass  # broken off by us, or the server's own word (ASGI 2.4) that the client has left
        finally:
            self._outlet.close()
            looks.cancel()
            self._watcher.cancel()

    async def left(self) -> None:
        """Returns when nothing watches the client any more."""
        if self._watcher is not None:
            await asyncio.gather(self._watcher, return_exceptions=True)

    async def _watch(self, receive: Receive) -> None:
        await disconnected(receive)
        self.break_off(ReaderLost())

    async def _write(self, send: Send, start: Message) -> None:
        """Commits the 200 with the first item, or after the wait for it, so that heartbeats can begin."""
        outlet = self._outlet
        await outlet.first(self._settings.first_item_wait_s)
        if outlet.refusal:
            self.outcome, self.code = outlet.outcome, outlet.code
            raise outlet.refusal
        if outlet.closed:
            return
        await send(start)
        while not outlet.closed:
            ended = outlet.ended
            body = outlet.take() or outlet.ping
            self._sending = True
            await send({"type": "http.response.body", "body": body, "more_body": not ended})
            self._sending = False
            self.bytes += len(body)
            if ended:
                self.outcome, self.code = outlet.outcome, outlet.code
                return
            await outlet.due()

    # region: breaking-off
    def break_off(self, error: ServiceError) -> None:
        """Ends a stream whose client reads no more, even in the middle of a send."""
        if self._outlet.closed:
            return
        self.outcome, self.code = error.outcome, error.code
        self._outlet.close()
        self._writing.reschedule(0)
        if self._transport is not None:
            sever(self._transport)

    def _look_at_reader(self) -> None:
        """Breaks off when a send has waited for the send timeout and nothing left for the client meanwhile."""
        now = asyncio.get_running_loop().time()
        untaken_now = untaken(self._transport) if self._transport else self.bytes
        if not self._sending or untaken_now != self._untaken:
            self._untaken, self._took_at = untaken_now, now
        elif now - self._took_at >= self._settings.send_timeout_s:
            self.break_off(SlowReader())


async def disconnected(receive: Receive) -> None:
    """Returns when the client has left; the server says so whatever ASGI version it speaks."""
    while (await receive())["type"] != "http.disconnect":
        pass
