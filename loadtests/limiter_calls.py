"""What bench-limiter times: our limiter in memory and in Redis, a bare PING, and the articles' pipeline."""

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager

from pydantic import RedisDsn
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared.ratelimit import AsyncLimiter, Limiter
from shared.redis_link import AsyncLink, Link
from shared.settings import Settings

PING, MEMORY, REDIS, PIPELINE = (
    "PING",
    "admit, memory",
    "admit, Redis",
    "four commands in a pipeline",
)
NAMES = (PING, MEMORY, REDIS, PIPELINE)
USERS, RATE, WINDOW_S = 100, "1000000/hour", 3600
Call = Callable[[str], object]
AsyncCall = Callable[[str], Awaitable[object]]


def users(prefix: str) -> Iterator[str]:
    """The user of each call, in turn."""
    return itertools.cycle([f"{prefix}-{number}" for number in range(USERS)])


@contextmanager
def calls(url: str) -> Iterator[dict[str, Call]]:
    """For threads, by name."""
    memory, shared = (Limiter(_settings(where)) for where in (None, url))
    link = Link(RedisDsn(url))
    bare = Redis(connection_pool=link.pool)

    def pipeline(user: str) -> object:
        now = time.time()
        commands = bare.pipeline()
        commands.zremrangebyscore(f"pipeline:{user}", "-inf", now - WINDOW_S)
        commands.zadd(f"pipeline:{user}", {secrets.token_hex(8): now})
        commands.zcard(f"pipeline:{user}")
        commands.expire(f"pipeline:{user}", WINDOW_S)
        return commands.execute()

    yield {
        PING: lambda _: link.ask(bare.ping),
        MEMORY: memory.admit,
        REDIS: shared.admit,
        PIPELINE: lambda user: link.ask(lambda: pipeline(user)),
    }
    for opened in (memory, shared, link):
        opened.close()


@asynccontextmanager
async def async_calls(url: str) -> AsyncIterator[dict[str, AsyncCall]]:
    """For tasks, by name."""
    memory, shared = (AsyncLimiter(_settings(where)) for where in (None, url))
    link = AsyncLink(RedisDsn(url))
    bare = AsyncRedis(connection_pool=link.pool)

    async def pipeline(user: str) -> object:
        now = time.time()
        commands = bare.pipeline()
        commands.zremrangebyscore(f"pipeline:{user}", "-inf", now - WINDOW_S)
        commands.zadd(f"pipeline:{user}", {secrets.token_hex(8): now})
        commands.zcard(f"pipeline:{user}")
        commands.expire(f"pipeline:{user}", WINDOW_S)
        return await commands.execute()

    yield {
        PING: lambda _: link.ask(lambda: bare.ping()),
        MEMORY: memory.admit,
        REDIS: shared.admit,
        PIPELINE: lambda user: link.ask(lambda: pipeline(user)),
    }
    for opened in (memory, shared, link):
        await opened.close()


def _settings(url: str | None) -> Settings:
    return Settings.model_validate({"REDIS_URL": url, "rate_limit": RATE})


def timed(call: Call, whose: Iterator[str], count: int, clients: int) -> list[float]:
    """Milliseconds of each of `count` calls, `clients` of which are under way at once."""

    def one(user: str) -> float:
        began = time.perf_counter()
        call(user)
        return (time.perf_counter() - began) * 1e3

    turns = [next(whose) for _ in range(count)]
    if clients == 1:
        return [one(user) for user in turns]
    with ThreadPoolExecutor(clients) as threads:
        return list(threads.map(one, turns))


async def async_timed(
    call: AsyncCall, whose: Iterator[str], count: int, clients: int
) -> list[float]:
    """The same for tasks."""
    taken: list[float] = []
    turns = iter([next(whose) for _ in range(count)])

    async def client() -> None:
        for user in turns:
            began = time.perf_counter()
            await call(user)
            taken.append((time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(client() for _ in range(clients)))
    return taken


def counted(url: str, prefix: str) -> int:
    """The calls of these users that Redis has counted in our windows; what they left there is deleted."""
    with Redis.from_url(url) as redis:
        ours = list(redis.scan_iter(f"chat:window:*/{prefix}-*"))
        total = sum(int(redis.llen(key)) for key in ours)
        left = [*ours, *redis.scan_iter(f"pipeline:{prefix}-*")]
        redis.delete(*left)
        return total
