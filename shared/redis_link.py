"""A way to Redis on which nobody waits for long: one that hangs, is gone, or refuses is an Unreachable at once.

After a failure Redis is left alone for PAUSE_S, then asked by one call, and by all when that one is answered.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import RedisDsn
from redis import ConnectionPool
from redis.asyncio import ConnectionPool as AsyncConnectionPool
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

CONNECTIONS = 8  # questions under way; what comes on top waits here, and not in a crowd of sockets
PAUSE_S = 1.0
CONNECT_S, ANSWER_S = 0.03, 0.06  # of a thread; with both a decision is made within 100 ms
TURN_S, TURNS = 0.006, 10  # of a task, for both together
BY_ITSELF = "this process limits by itself"
_PLAIN = {"protocol": 2, "driver_info": None}  # nothing is negotiated on a new connection
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Unreachable(Exception):
    """Redis did not answer, or is not asked at the moment."""

    def __str__(self) -> str:
        return "Redis does not answer"


class Breaker:
    """Says whether Redis is asked, and logs when that changes; never an address with a password.

    `meanwhile` says what goes on without it.
    """

    def __init__(self, url: RedisDsn, meanwhile: str) -> None:
        self._where = f"{url.host}:{url.port}"
        self._meanwhile = meanwhile
        self._lock = threading.Lock()
        self._lost, self._again_at = False, 0.0

    def check(self) -> None:
        """Raises Unreachable during a pause; its end is seen by one caller, whose answer counts for all."""
        if not self._lost:
            return
        with self._lock:
            now = time.monotonic()
            if now < self._again_at:
                raise Unreachable
            self._again_at = now + PAUSE_S

    def failed(self, error: Exception) -> None:
        with self._lock:
            first, self._lost = not self._lost, True
            self._again_at = time.monotonic() + PAUSE_S
        if first:
            what = type(error).__name__
            _log.warning("Redis at %s: %s; %s", self._where, what, self._meanwhile)

    def answered(self) -> None:
        if not self._lost:
            return
        with self._lock:
            back, self._lost, self._again_at = self._lost, False, 0.0
        if back:
            _log.warning("Redis at %s answers again", self._where)


class Link:
    """For threads; `pool` is for the clients whose questions are asked here."""

    def __init__(self, url: RedisDsn) -> None:
        self.pool = ConnectionPool.from_url(
            str(url),
            socket_timeout=ANSWER_S,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
            **_PLAIN,
        )
        self._gate = threading.Semaphore(CONNECTIONS)
        self._breaker = Breaker(url, BY_ITSELF)

    def ask(self, question: Callable[[], _T]) -> _T:
        """The answer; raises Unreachable."""
        with self._gate:
            self._breaker.check()
            try:
                answer = question()
            except (RedisError, OSError) as error:
                self._breaker.failed(error)
                raise Unreachable from None
        self._breaker.answered()
        return answer

    def close(self) -> None:
        self.pool.disconnect()


class AsyncLink:
    """For the tasks of one event loop; `pool` is for the clients whose questions are asked here."""

    def __init__(self, url: RedisDsn) -> None:
        self.pool = AsyncConnectionPool.from_url(
            str(url),
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=AsyncRetry(NoBackoff(), 0),
            **_PLAIN,
        )
        self._gate = asyncio.Semaphore(CONNECTIONS)
        self._breaker = Breaker(url, BY_ITSELF)

    async def ask(self, question: Callable[[], Awaitable[_T]]) -> _T:
        """The answer; raises Unreachable."""
        async with self._gate:
            self._breaker.check()
            try:
                async with patience(TURN_S, TURNS):
                    answer = await question()
            except (RedisError, OSError) as error:
                self._breaker.failed(error)
                raise Unreachable from None
        self._breaker.answered()
        return answer

    async def close(self) -> None:
        await self.pool.disconnect()


@asynccontextmanager
async def patience(turn_s: float, turns: int) -> AsyncIterator[Callable[[], None]]:
    """A timeout of so many turns behind its start, and behind each call of what it gives.

    It counts turns of the event loop: one that was busy for long finds its timers due before it has read the
    answer that is there.
    """
    loop = asyncio.get_running_loop()
    left, timer = turns, loop.call_later(turn_s, lambda: turn())

    def turn() -> None:
        nonlocal left, timer
        left -= 1
        if left:
            timer = loop.call_later(turn_s, turn)
        else:
            limit.reschedule(loop.time())

    def again() -> None:
        nonlocal left
        left = turns

    async with asyncio.timeout(None) as limit:
        try:
            yield again
        finally:
            timer.cancel()
