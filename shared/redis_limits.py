"""Windows and places that processes and hosts share through Redis; each question is one round trip.

What was asked of a Redis that hung may be done when it goes on; a place that was taken so is free after its
lease.
"""

import time
from functools import partial
from importlib import resources
from urllib.parse import quote

from limits import RateLimitItem, WindowStats
from limits.aio.storage import RedisStorage as AsyncRedisStorage
from limits.aio.strategies import MovingWindowRateLimiter as AsyncMovingWindowRateLimiter
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared.allowance import whole_seconds
from shared.redis_link import AsyncLink, Link
from shared.settings import Settings

LEASE_SLACK_S = 10.0  # a place outlives the longest answer by it, should its process die
_WINDOWS, _PLACES = "chat:window", "chat:places"


def _lease_ms(settings: Settings) -> int:
    return int((settings.answer_timeout_s + LEASE_SLACK_S) * 1000)


def _script() -> str:
    return resources.files("shared").joinpath("places.lua").read_text("utf-8")


def _named(user: str) -> str:
    """No character of it means anything in a key."""
    return quote(user, safe="")


def _until(stats: WindowStats) -> int:
    return whole_seconds(stats.reset_time - time.time())


class RedisLimits:
    """For threads; every method raises Unreachable."""

    def __init__(self, link: Link, settings: Settings) -> None:
        self._link = link
        self._redis = Redis(connection_pool=link.pool)
        self._take = self._redis.register_script(_script())
        self._terms = (settings.user_answers or 0, _lease_ms(settings))
        self._window = MovingWindowRateLimiter(
            RedisStorage("redis://", connection_pool=link.pool, key_prefix=_WINDOWS)
        )

    def admit(self, rate: RateLimitItem, user: str) -> int:
        """Counts a call and returns 0, or counts nothing and returns the seconds until one is free."""
        return self._link.ask(partial(self._admit, rate, _named(user)))

    def _admit(self, rate: RateLimitItem, user: str) -> int:
        if self._window.hit(rate, user):
            return 0
        return _until(self._window.get_window_stats(rate, user))

    def take(self, user: str, place: str) -> bool:
        """Whether this place is taken now, or else all are."""
        key, arguments = f"{_PLACES}:{_named(user)}", (*self._terms, place)
        return bool(self._link.ask(lambda: self._take([key], arguments)))

    def leave(self, user: str, place: str) -> None:
        self._link.ask(lambda: self._redis.zrem(f"{_PLACES}:{_named(user)}", place))


class AsyncRedisLimits:
    """For the tasks of one event loop; every method raises Unreachable."""

    def __init__(self, link: AsyncLink, settings: Settings) -> None:
        self._link = link
        self._redis = AsyncRedis(connection_pool=link.pool)
        self._take = self._redis.register_script(_script())
        self._terms = (settings.user_answers or 0, _lease_ms(settings))
        self._window = AsyncMovingWindowRateLimiter(
            AsyncRedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=_WINDOWS,
                connection_pool=link.pool,  # type: ignore[arg-type]  # an option that its types leave out
            )
        )

    async def admit(self, rate: RateLimitItem, user: str) -> int:
        """Counts a call and returns 0, or counts nothing and returns the seconds until one is free."""
        return await self._link.ask(partial(self._admit, rate, _named(user)))

    async def _admit(self, rate: RateLimitItem, user: str) -> int:
        if await self._window.hit(rate, user):
            return 0
        return _until(await self._window.get_window_stats(rate, user))

    async def take(self, user: str, place: str) -> bool:
        """Whether this place is taken now, or else all are."""
        key, arguments = f"{_PLACES}:{_named(user)}", (*self._terms, place)
        return bool(await self._link.ask(lambda: self._take([key], arguments)))

    async def leave(self, user: str, place: str) -> None:
        await self._link.ask(lambda: self._redis.zrem(f"{_PLACES}:{_named(user)}", place))
