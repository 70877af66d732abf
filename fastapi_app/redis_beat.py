"""Twice a second: what this worker writes is still its own, what it follows is still written by somebody."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from shared.errors import HistoryLost, ServiceError, StoreUnavailable

from .redis_copies import Copies, key
from .redis_scripts import Scripts
from .replay import Log
from .store import Adopt, Superseded, Withdraw

BEAT_S = 0.5
LEASE_MS = 3000
UNREACHABLE_S = 2.0  # then readers are sent away, to come back
_log = logging.getLogger(__name__)


# region: beat
class Beat:
    """`held_ms` is for how long readers that are here are known to the others."""

    def __init__(self, scripts: Scripts, copies: Copies, held_ms: int) -> None:
        self._scripts = scripts
        self._copies = copies
        self._held_ms = held_ms
        self._answered_at = self._last_at = asyncio.get_running_loop().time()
        self._task: asyncio.Task[None] | None = None

    def begin(
        self, adopt: Adopt, withdraw: Withdraw, renew: Callable[[Log], Awaitable[None]]
    ) -> None:
        self._adopt, self._withdraw, self._renew = adopt, withdraw, renew
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BEAT_S)
            began_at = loop.time()
            if not self._copies.followed:
                self._answered_at = began_at
            try:
                async with asyncio.TaskGroup() as looking:
                    for log in tuple(self._copies.made):
                        looking.create_task(self._look_at_own(log))
                    for log in self._copies.followed:
                        looking.create_task(self._look_at(log))
            except Exception:  # noqa: BLE001  # logged; without beats nobody would ever be told anything
                _log.exception("a beat failed")
            self._last_at = began_at
            self._copies.sweep()

    # region: own
    async def _look_at_own(self, log: Log) -> None:
        try:
            await self._renew(log)
        except Superseded as lost:
            self._withdraw(log, lost.ended)

    # region: followed
    async def _look_at(self, log: Log) -> None:
        loop = asyncio.get_running_loop()
        here = bool(log.readers) or log.left_at > self._last_at
        known_seq = log.last_seq
        keys = [key(log.session_id, what) for what in ("session", "lease", "readers", "log")]
        try:
            exists, made, last_id, ended = await self._scripts.look(
                keys, self._held_ms if here else 0
            )
        except StoreUnavailable:
            if loop.time() - self._answered_at > UNREACHABLE_S:
                self._copies.lose(log, StoreUnavailable())
            return
        self._answered_at = loop.time()
        last_seq = int(last_id.partition(b"-")[2] or 0)
        if not exists or last_seq < known_seq:
            self._copies.lose(log, HistoryLost())  # Redis was emptied, or has an older state
        elif last_seq > log.last_seq:
            with suppress(StoreUnavailable):
                await self._copies.catch_up(self._scripts, log)  # the tail has not brought it
        elif not made and not ended and log.readers:
            await self._take_over(log)

    async def _take_over(self, log: Log) -> None:
        """Readers whom this worker cannot serve are told why, and may find another one."""
        try:
            await self._adopt(log)
        except ServiceError as error:
            self._copies.lose(log, error)
