"""Limits a user: exact under a crowd, true in what they say, and decided at once when Redis is lost."""

import asyncio
import logging
import multiprocessing
import statistics
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest
from limits import parse
from redis import Redis

from shared import redis_limits
from shared.allowance import Window, whole_seconds
from shared.errors import RateLimited, TooManyAnswers
from shared.ratelimit import AsyncLimiter, Limiter
from shared.redis_link import PAUSE_S
from shared.settings import Settings
from tests.stores import RedisServer, redis_for_a_test

CROWD, LIMIT, THREADS = 1000, 30, 64
DECISION_S = 0.1
LONG = "30/hour"
Crowd = Callable[[Settings, str], list[int]]
"""A thousand calls at once of one user: 0 for each that was admitted, else its Retry-After."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_for_a_test(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of the test's own, which it may kill."""
    with redis_for_a_test(tmp_path_factory.mktemp("mortal")) as server:
        yield server


def settings(redis: RedisServer | None = None, **given: object) -> Settings:
    return Settings.model_validate({"REDIS_URL": redis.url if redis else None} | given)


@contextmanager
def limiter(chosen: Settings) -> Iterator[Limiter]:
    opened = Limiter(chosen)
    try:
        yield opened
    finally:
        opened.close()


@asynccontextmanager
async def async_limiter(chosen: Settings) -> AsyncIterator[AsyncLimiter]:
    opened = AsyncLimiter(chosen)
    try:
        yield opened
    finally:
        await opened.close()


def call(opened: Limiter, user: str = "ada") -> int:
    """0, or the Retry-After of a denied call."""
    try:
        opened.admit(user)
    except RateLimited as denied:
        return int(denied.headers["Retry-After"])
    return 0


async def async_call(opened: AsyncLimiter, user: str = "ada") -> int:
    try:
        await opened.admit(user)
    except RateLimited as denied:
        return int(denied.headers["Retry-After"])
    return 0


def threads(chosen: Settings, user: str) -> list[int]:
    with limiter(chosen) as opened, ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda _: call(opened, user), range(CROWD)))


def tasks(chosen: Settings, user: str) -> list[int]:
    async def crowd() -> list[int]:
        async with async_limiter(chosen) as opened:
            return await asyncio.gather(*(async_call(opened, user) for _ in range(CROWD)))

    return asyncio.run(crowd())


@pytest.mark.parametrize("crowd", [threads, tasks])
@pytest.mark.parametrize("where", ["memory", "redis"])
def test_exactly_the_limit_of_a_crowd_gets_in(
    request: pytest.FixtureRequest, where: str, crowd: Crowd
) -> None:
    store = request.getfixturevalue("redis") if where == "redis" else None
    answers = crowd(settings(store, rate_limit=LONG), f"crowd-{crowd.__name__}")
    assert answers.count(0) == LIMIT
    assert len(answers) == CROWD
    assert all(3500 < after <= 3600 for after in answers if after)


def test_processes_share_one_limit(redis: RedisServer) -> None:
    chosen = settings(redis, rate_limit=LONG)
    workers = multiprocessing.get_context("spawn")
    with workers.Pool(2) as pool:
        shares = pool.starmap(tasks, [(chosen, "shared"), (chosen, "shared")])
    assert sum(share.count(0) for share in shares) == LIMIT


@pytest.mark.parametrize("user", ["a/b", "a b\r\n", "{a}", "a:*", "", "é" * 64])
def test_any_user_has_a_window_of_its_own(redis: RedisServer, user: str) -> None:
    with limiter(settings(redis, rate_limit="1/hour", user_answers=1)) as opened:
        assert call(opened, user) == 0
        assert call(opened, user) > 0
        assert call(opened, f"{user}!") == 0
        with opened.answering(user), opened.answering(f"{user}!"):
            keys = {key.decode() for key in Redis.from_url(redis.url).scan_iter("chat:places:*")}
    assert all(key.isascii() and set(key).isdisjoint(" \r\n*{}/") for key in keys)
    assert len(keys) >= 2


@pytest.mark.parametrize("where", ["memory", "redis"])
def test_denied_calls_cost_nothing_and_retry_after_is_true(
    request: pytest.FixtureRequest, where: str
) -> None:
    store = request.getfixturevalue("redis") if where == "redis" else None
    with limiter(settings(store, rate_limit="30/2 seconds")) as opened:
        assert [call(opened) for _ in range(10)] == [0] * 10
        time.sleep(0.8)
        assert [call(opened) for _ in range(20)] == [0] * 20
        denied = [call(opened) for _ in range(100)]
        assert 0 not in denied
        time.sleep(max(denied))
        again = [call(opened) for _ in range(60)]
    # Those that were denied meanwhile count for nothing; a busy machine lets more of the window go by.
    assert again[:10] == [0] * 10
    assert again.count(0) in (10, 30)


def test_a_window_slides() -> None:
    window = Window(parse("2/10 seconds"))
    assert [window.admit("a", now) for now in (0, 4)] == [0, 0]
    assert [window.admit("a", now) for now in (4, 9)] == [6, 1]
    assert window.admit("a", 10) == 0
    assert window.admit("a", 10) == 4
    assert window.admit("b", 10) == 0


def test_users_who_stay_away_are_forgotten() -> None:
    window = Window(parse("2/10 seconds"))
    for now in range(1000):
        assert window.admit(f"user-{now}", now) == 0
    assert len(window._calls) <= 11


@pytest.mark.parametrize(("wait_s", "after"), [(-1.0, 1), (0.0, 1), (0.2, 1), (1.0, 2), (1.5, 2)])
def test_retry_after_is_never_too_early(wait_s: float, after: int) -> None:
    assert whole_seconds(wait_s) == after


def test_no_limits_ask_nobody() -> None:
    nowhere = Settings.model_validate({"REDIS_URL": "redis://192.0.2.1:6379/0"})
    with limiter(nowhere) as opened, opened.answering("ada"), opened.answering("ada"):
        assert opened._link is None
        assert [call(opened) for _ in range(100)] == [0] * 100


@pytest.mark.parametrize("where", ["memory", "redis"])
async def test_never_more_places_than_there_are(request: pytest.FixtureRequest, where: str) -> None:
    store = request.getfixturevalue("redis") if where == "redis" else None
    chosen = settings(store, user_answers=3)
    under_way, most, refused = 0, 0, 0
    async with async_limiter(chosen) as one, async_limiter(chosen) as two:

        async def answer(opened: AsyncLimiter) -> None:
            nonlocal under_way, most, refused
            try:
                async with opened.answering("places"):
                    under_way += 1
                    most = max(most, under_way)
                    await asyncio.sleep(0)
                    under_way -= 1
            except TooManyAnswers:
                refused += 1

        limiters = (one, two) if store else (one,)
        await asyncio.gather(*(answer(opened) for opened in limiters for _ in range(100)))
        assert 1 <= most <= 3
        assert refused > 0
        async with one.answering("places"), one.answering("places"), one.answering("places"):
            with pytest.raises(TooManyAnswers):
                async with limiters[-1].answering("places"):
                    raise AssertionError("a fourth was let in")


@pytest.mark.parametrize("where", ["memory", "redis"])
async def test_a_place_is_free_again_however_its_answer_ended(
    request: pytest.FixtureRequest, where: str
) -> None:
    store = request.getfixturevalue("redis") if where == "redis" else None
    async with async_limiter(settings(store, user_answers=1)) as opened:
        with pytest.raises(RuntimeError):
            async with opened.answering("ends"):
                raise RuntimeError
        inside = asyncio.Event()

        async def answer() -> None:
            async with opened.answering("ends"):
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(answer())
        await inside.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # a server that shuts down does so twice
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*opened._leaving)
        async with opened.answering("ends"):
            pass


def test_the_place_of_a_dead_process_is_free_after_its_lease(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_limits, "LEASE_SLACK_S", 0.2)
    chosen = settings(redis, user_answers=1, answer_timeout_s=0.1)
    with limiter(chosen) as dead, limiter(chosen) as alive, ExitStack() as never_left:
        never_left.enter_context(dead.answering("dead"))
        with pytest.raises(TooManyAnswers), alive.answering("dead"):
            pass
        time.sleep(0.35)
        with alive.answering("dead"):
            pass


def _decisions(opened: Limiter, users: range) -> list[float]:
    """Seconds that each of these calls took, all at once."""
    full = threading.Barrier(len(users))

    def timed(user: int) -> float:
        full.wait()
        began = time.perf_counter()
        call(opened, f"lost-{user}")
        return time.perf_counter() - began

    with ThreadPoolExecutor(len(users)) as pool:
        return list(pool.map(timed, users))


async def _async_decisions(opened: AsyncLimiter, users: range) -> list[float]:
    async def timed(user: int) -> float:
        began = time.perf_counter()
        await async_call(opened, f"lost-{user}")
        return time.perf_counter() - began

    return list(await asyncio.gather(*(timed(user) for user in users)))


@pytest.mark.parametrize("loss", ["kill", "pause"])
async def test_a_lost_redis_is_decided_at_once_by_the_process_alone(
    mortal: RedisServer, loss: str, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings(mortal, rate_limit=LONG, user_answers=2)
    with limiter(chosen) as opened, caplog.at_level(logging.WARNING):
        async with async_limiter(chosen) as tasked:
            assert [call(opened, "sync") for _ in range(10)] == [0] * 10
            assert [await async_call(tasked, "async") for _ in range(10)] == [0] * 10
            getattr(mortal, loss)()
            # The median, and the first of all: a busy machine may be late with some of the others.
            assert statistics.median(_decisions(opened, range(32))) < DECISION_S
            assert statistics.median(await _async_decisions(tasked, range(32))) < DECISION_S
            # What Redis admitted before counts here as well.
            assert [call(opened, "sync") for _ in range(100)].count(0) == LIMIT - 10
            assert [await async_call(tasked, "async") for _ in range(100)].count(0) == LIMIT - 10
            with opened.answering("ada"), opened.answering("ada"):
                with pytest.raises(TooManyAnswers), opened.answering("ada"):
                    pass
                async with tasked.answering("ada"):
                    pass
    lost = [
        record.getMessage()
        for record in caplog.records
        if "limits by itself" in record.getMessage()
    ]
    assert len(lost) == 2


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:1/0", "redis://192.0.2.1:6379/0"])
async def test_an_unreachable_redis_is_decided_at_once(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = Settings.model_validate({"REDIS_URL": url, "rate_limit": LONG})
    with limiter(chosen) as opened, caplog.at_level(logging.WARNING):
        async with async_limiter(chosen) as tasked:
            assert statistics.median(_decisions(opened, range(16))) < DECISION_S
            assert statistics.median(await _async_decisions(tasked, range(16))) < DECISION_S
            answers = [call(opened) for _ in range(100)]
    assert answers.count(0) == LIMIT
    assert "limits by itself" in caplog.text
    assert "hunter2" not in caplog.text


def test_redis_is_used_again_when_it_is_back(
    mortal: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings(mortal, rate_limit=LONG)
    with limiter(chosen) as one, limiter(chosen) as two:
        assert call(one) == 0
        mortal.kill()
        assert (call(one), call(two)) == (0, 0)
        mortal.start()
        time.sleep(PAUSE_S)
        for opened in (one, two):
            assert call(opened, "probe") == 0
        admitted = [call(opened) for opened in (one, two) for _ in range(LIMIT)].count(0)
    assert admitted == LIMIT
    assert caplog.text.count("answers again") == 2


async def test_a_loop_that_was_busy_is_no_lost_redis(redis: RedisServer) -> None:
    async with async_limiter(settings(redis, rate_limit="1/hour")) as opened:
        assert await async_call(opened, "warm") == 0
        asking = asyncio.create_task(async_call(opened, "busy"))
        for _ in range(6):
            await asyncio.sleep(0)
            time.sleep(0.05)  # noqa: ASYNC251  # a loop that has other work to do
        assert await asking == 0
        async with async_limiter(settings(redis, rate_limit="1/hour")) as other:
            assert await async_call(other, "busy") > 0
