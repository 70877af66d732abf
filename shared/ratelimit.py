"""Limits a user: calls in a sliding window, and answers under way.

With REDIS_URL both are counted over all processes, hosts and stacks; without it, and while Redis does not
answer, each process counts by itself. A call that is denied is not counted.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from limits import RateLimitItem, parse

from shared.allowance import Allowance
from shared.errors import TooManyAnswers
from shared.redis_limits import AsyncRedisLimits, RedisLimits
from shared.redis_link import AsyncLink, Link, Unreachable
from shared.settings import Settings


def _rate(settings: Settings) -> RateLimitItem | None:
    return parse(settings.rate_limit) if settings.rate_limit else None


class Limiter:
    """For threads. Without a limit in the settings it does nothing."""

    def __init__(self, settings: Settings) -> None:
        self._rate, self._most = _rate(settings), settings.user_answers
        self._own = Allowance(self._rate, self._most)
        limited = self._rate or self._most
        self._link = Link(settings.redis_url) if settings.redis_url and limited else None
        self._shared = RedisLimits(self._link, settings) if self._link else None

    def admit(self, user: str) -> None:
        """Counts a call of this user; raises RateLimited."""
        if self._rate is None:
            return
        wait_s = None
        if self._shared is not None:
            with suppress(Unreachable):
                wait_s = self._shared.admit(self._rate, user)
        self._own.settle(user, wait_s)

    @contextmanager
    def answering(self, user: str) -> Iterator[None]:
        """Holds one of the user's places; raises TooManyAnswers."""
        if self._most is None:
            yield
            return
        with self._own.place(user), self._shared_place(user):
            yield

    @contextmanager
    def _shared_place(self, user: str) -> Iterator[None]:
        if self._shared is None:
            yield
            return
        place, taken = secrets.token_hex(8), True
        try:
            with suppress(Unreachable):
                taken = self._shared.take(user, place)
            if not taken:
                raise TooManyAnswers
            yield
        finally:
            if taken:
                with suppress(Unreachable):
                    self._shared.leave(user, place)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()


class AsyncLimiter:
    """For the tasks of one event loop. Without a limit in the settings it does nothing."""

    def __init__(self, settings: Settings) -> None:
        self._rate, self._most = _rate(settings), settings.user_answers
        self._own = Allowance(self._rate, self._most)
        limited = self._rate or self._most
        self._link = AsyncLink(settings.redis_url) if settings.redis_url and limited else None
        self._shared = AsyncRedisLimits(self._link, settings) if self._link else None
        self._leaving: set[asyncio.Task[None]] = set()

    async def admit(self, user: str) -> None:
        """Counts a call of this user; raises RateLimited."""
        if self._rate is None:
            return
        wait_s = None
        if self._shared is not None:
            with suppress(Unreachable):
                wait_s = await self._shared.admit(self._rate, user)
        self._own.settle(user, wait_s)

    @asynccontextmanager
    async def answering(self, user: str) -> AsyncIterator[None]:
        """Holds one of the user's places; raises TooManyAnswers."""
        if self._most is None:
            yield
            return
        with self._own.place(user):
            async with self._shared_place(user):
                yield

    @asynccontextmanager
    async def _shared_place(self, user: str) -> AsyncIterator[None]:
        if self._shared is None:
            yield
            return
        place, taken = secrets.token_hex(8), True
        try:
            with suppress(Unreachable):
                taken = await self._shared.take(user, place)
            if not taken:
                raise TooManyAnswers
            yield
        finally:
            if taken:
                # A task of its own: whoever cancels the answer, even twice, takes no place with it.
                leaving = asyncio.create_task(self._leave(self._shared, user, place))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)
                await asyncio.shield(leaving)

    async def _leave(self, shared: AsyncRedisLimits, user: str, place: str) -> None:
        with suppress(Unreachable):
            await shared.leave(user, place)

    async def close(self) -> None:
        await asyncio.gather(*self._leaving)
        if self._link is not None:
            await self._link.close()
