"""What every store promises, in memory and in Redis; and what only several workers can put to the test."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from pydantic import RedisDsn
from redis.asyncio import Redis

from fastapi_app.memory import MemoryStore
from fastapi_app.redis_beat import BEAT_S
from fastapi_app.redis_store import RedisStore
from fastapi_app.replay import Cursor, Log
from fastapi_app.sessions import Sessions
from fastapi_app.sse import frame, text_of
from fastapi_app.store import Session, Store, Superseded
from shared.errors import HistoryLost, StoreUnavailable, TooManyAnswers
from shared.schemas import Delta, Done
from shared.settings import Settings
from tests.fastapi_app.serving import DONE, PlayedLLM, services
from tests.stores import RedisServer, redis_for_a_test

WAIT_S = 10.0
MOST_BYTES = 600
ROUNDS = 20
END = b'event: done\ndata: {"id":"a"}\n\n'
STOPPED = b'event: failure\ndata: {"code":"stopped"}\n\n'


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_for_a_test(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def keys(redis: RedisServer) -> AsyncIterator["Redis"]:
    client: Redis = Redis.from_url(redis.url)
    async with client:
        await client.flushall()
        yield client


@pytest.fixture
def settings() -> Settings:
    values = {"replay_bytes": MOST_BYTES, "resume_grace_s": 1.0}
    return Settings.model_validate(values)


class Worker:
    """A store, and what it was told of its logs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.adopted: list[Log] = []
        self.withdrawn: list[tuple[Log, bool]] = []
        store.serve(self._adopt, lambda log, ended: self.withdrawn.append((log, ended)))

    async def _adopt(self, log: Log) -> None:
        if await self.store.claim(log):
            self.adopted.append(log)


@asynccontextmanager
async def working(settings: Settings, url: str | None) -> AsyncIterator[Worker]:
    store = RedisStore(settings, RedisDsn(url)) if url else MemoryStore(settings)
    try:
        yield Worker(store)
    finally:
        await store.close()


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Store]:
    url = None if request.param == "memory" else request.getfixturevalue("redis").url
    async with working(settings, url) as worker:
        yield worker.store


@pytest.fixture
async def here(redis: RedisServer, keys: "Redis", settings: Settings) -> AsyncIterator[Worker]:
    async with working(settings, redis.url) as worker:
        yield worker


@pytest.fixture
async def there(redis: RedisServer, keys: "Redis", settings: Settings) -> AsyncIterator[Worker]:
    async with working(settings, redis.url) as worker:
        yield worker


def made(name: str, user: str = "ann") -> Session:
    return Session(name, user, "r-1", '{"prompt":"hi"}', "0" * 64, time.time() + 60)


async def log_of(store: Store, name: str) -> Log:
    await store.add(made(name), None)
    return await store.follow(name)


async def written(store: Store, name: str, *words: str) -> Log:
    """A log that this store writes."""
    log = await log_of(store, name)
    assert await store.claim(log)
    await store.append(log, [frame(word) for word in words], end=False)
    return log


def reader(log: Log, settings: Settings, last_id: str | None = None) -> Cursor:
    return Cursor(log, last_id, "r-1", settings)


async def until(look: Callable[[], object]) -> None:
    async def looked() -> object:
        return look()

    await until_so(looked)


async def until_so(look: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await look():  # noqa: ASYNC110  # what is looked at has no event
            await asyncio.sleep(0.01)


# --- every store


async def test_a_key_has_one_session_for_its_user(store: Store) -> None:
    first = made("key-1")
    assert await store.add(first, "k") == first
    assert (await store.add(made("key-2"), "k")).id == "key-1"
    assert (await store.add(made("key-3", "bob"), "k")).id == "key-3"
    assert (await store.add(made("key-4"), None)).id == "key-4"
    await store.drop(first, "k")
    assert await store.find("key-1") is None
    assert (await store.add(made("key-5"), "k")).id == "key-5"


async def test_what_is_kept_is_found(store: Store) -> None:
    session = made("kept")
    await store.add(session, None)
    session.ticket = "1" * 64
    await store.keep(session)
    assert await store.find("kept") == session
    assert await store.find("{kept}:session") is None
    assert await store.find("lone \ud800") is None


async def test_one_hand_writes_until_the_end(store: Store) -> None:
    log = await written(store, "one-hand", "a", "b")
    assert not await store.claim(log)
    await store.append(log, [frame("c"), END], end=True)
    assert log.ended
    assert [one.split(b"\n")[0].rpartition(b"-")[2] for one in log.read(0)] == [
        b"%d" % n for n in (1, 2, 3, 4)
    ]
    with pytest.raises(Superseded) as lost:
        await store.append(log, [frame("d")], end=False)
    assert lost.value.ended
    await store.release(log)
    assert not await store.claim(log)


async def test_who_takes_over_begins_another_epoch(store: Store) -> None:
    log = await written(store, "epochs", "a")
    first = log.last_id
    await store.release(log)
    assert await store.claim(log)
    await store.append(log, [frame("b")], end=False)
    (before, one), (after, two) = (
        map(int, event_id.split("-")) for event_id in (first, log.last_id)
    )
    assert (after > before, one, two) == (True, 1, 2)


async def test_an_end_from_elsewhere_is_the_end(store: Store) -> None:
    log = await written(store, "stopped", "a")
    await store.end("stopped", STOPPED)
    with pytest.raises(Superseded) as lost:
        await store.append(log, [frame("b")], end=False)
    assert lost.value.ended
    assert log.ended
    assert [one.endswith(STOPPED) for one in log.read(0)] == [False, True]


async def test_what_is_more_than_the_bound_goes_oldest_first(
    store: Store, settings: Settings
) -> None:
    log = await written(store, "bounded", "a")
    first = log.last_id
    for _ in range(20):
        await store.append(log, [frame("b" * 20)], end=False)
    assert log.dropped
    assert sum(map(len, log.read(0))) <= MOST_BYTES
    for last_id in (first, None):
        cursor = reader(log, settings, last_id)
        assert cursor.code == HistoryLost.code
        cursor.close()


async def test_readers_here_are_not_away(store: Store, settings: Settings) -> None:
    log = await log_of(store, "away")
    cursor = reader(log, settings)
    assert await store.away_s(log) == 0.0
    cursor.close()
    first = await store.away_s(log)
    await until(lambda: asyncio.get_running_loop().time() - log.left_at > 0.05)
    assert 0.0 <= first < await store.away_s(log)


# --- two workers


async def test_what_one_writes_the_other_reads_at_once(here: Worker, there: Worker) -> None:
    log = await written(here.store, "read", "a", "b")
    copy = await there.store.follow("read")
    assert copy.read(0) == log.read(0)
    began = time.monotonic()
    others = []
    for number in range(ROUNDS):
        others.append(await there.store.follow(f"other-{number}"))
        await here.store.append(log, [frame("c")], end=False)
        await until(lambda seq=3 + number: copy.last_seq == seq)  # type: ignore[misc]  # bound here
    assert (
        time.monotonic() - began < ROUNDS * BEAT_S / 2
    )  # who hears of it by beats hears one a beat
    await here.store.append(log, [END], end=True)
    await until(lambda: copy.ended)
    assert copy.read(0) == log.read(0)
    assert not any(other.last_seq for other in others)
    await there.store.delivered(copy, "t")
    fresh = await there.store.follow("read")
    assert fresh.delivered == "t"


async def test_a_copy_of_what_was_cut_is_bounded_too(
    here: Worker, there: Worker, settings: Settings
) -> None:
    log = await written(here.store, "cut", "a")
    first = log.last_id
    for _ in range(20):
        await here.store.append(log, [frame("b" * 20)], end=False)
    copy = await there.store.follow("cut")
    assert (copy.read(0), copy.dropped) == (log.read(0), log.dropped)
    assert [reader(copy, settings, one).code for one in (first, None)] == ["gap", "gap"]
    assert reader(copy, settings, log.last_id).code is None


async def test_who_falls_behind_what_is_kept_is_told_so(
    here: Worker, there: Worker, settings: Settings
) -> None:
    log = await written(here.store, "behind", "a")
    copy = await there.store.follow("behind")
    elsewhere = reader(copy, settings)
    elsewhere.take()
    await here.store.append(log, [frame("b" * 20)] * 20, end=False)
    await until(lambda: elsewhere.code)
    assert elsewhere.code == HistoryLost.code
    fresh = await there.store.follow("behind")
    assert fresh is not copy
    assert fresh.read(0) == log.read(0)


async def test_a_paused_writer_does_not_write_into_anothers_answer(
    here: Worker, there: Worker, keys: "Redis"
) -> None:
    log = await written(here.store, "paused", "a")
    copy = await there.store.follow("paused")
    assert not await there.store.claim(copy)
    await keys.delete("chat:{paused}:lease")
    assert await there.store.claim(copy)
    await there.store.append(copy, [frame("b")], end=False)
    with pytest.raises(Superseded) as lost:
        await here.store.append(log, [frame("late")], end=False)
    assert not lost.value.ended
    await here.store.release(log)
    await there.store.append(copy, [END], end=True)
    await until(lambda: log.ended)
    assert log.read(0) == copy.read(0)


async def test_a_paused_writer_does_not_go_on_where_another_has_been(
    here: Worker, there: Worker, keys: "Redis"
) -> None:
    log = await written(here.store, "been", "a")
    copy = await there.store.follow("been")
    await keys.delete("chat:{been}:lease")
    assert await there.store.claim(copy)
    await there.store.append(copy, [frame("b")], end=False)
    await there.store.release(copy)
    with pytest.raises(Superseded):
        await here.store.append(log, [frame("late")], end=False)
    await until(lambda: log.last_seq == 2)
    assert log.read(0) == copy.read(0)


async def test_a_lease_that_ran_out_is_taken_again(here: Worker, keys: "Redis") -> None:
    log = await written(here.store, "again", "a")
    await keys.delete("chat:{again}:lease")
    await here.store.append(log, [frame("b")], end=False)
    assert await keys.exists("chat:{again}:lease")


async def test_in_a_silence_the_writer_is_told_of_the_end(here: Worker, there: Worker) -> None:
    log = await written(here.store, "silence", "a")
    await there.store.end("silence", STOPPED)
    await until(lambda: here.withdrawn)
    assert here.withdrawn == [(log, True)]
    assert log.ended


async def test_who_has_readers_adopts_what_nobody_makes(
    here: Worker, there: Worker, settings: Settings
) -> None:
    log = await written(here.store, "adopted", "a")
    copy = await there.store.follow("adopted")
    cursor = reader(copy, settings)
    await here.store.release(log)
    await until(lambda: there.adopted)
    assert there.adopted == [copy]
    cursor.close()
    assert here.adopted == []


async def test_an_answer_is_taken_over_though_its_killed_worker_still_holds_its_place(
    here: Worker, redis: RedisServer, settings: Settings
) -> None:
    async def says() -> AsyncGenerator[Delta | Done, None]:
        yield Delta(("a", "b"))
        yield DONE

    values = {"redis_url": redis.url, "user_answers": 1, "resume_grace_s": 1.0}
    held, killed = services(PlayedLLM(says), **values), services(PlayedLLM(says), **values)
    among = Sessions(held, RedisStore(settings, RedisDsn(redis.url)))
    await written(here.store, "begun", "a")
    await here.store.release(await here.store.follow("begun"))
    await here.store.add(made("new"), None)
    async with killed.limiter.answering("ann"):
        with pytest.raises(TooManyAnswers):
            await among.attach(made("new"), None)
        cursor = await among.attach(made("begun"), None)
        assert cursor is not None
        await until(lambda: cursor.log.ended)
    assert "".join(map(text_of, cursor.log.read(0))) == "ab"
    await among.leave(made("begun"), cursor, done=True)
    await among.close()
    for one in (held, killed):
        await one.close()


async def test_readers_elsewhere_are_not_away(
    here: Worker, there: Worker, settings: Settings, keys: "Redis"
) -> None:
    log = await written(here.store, "elsewhere", "a")
    cursor = reader(await there.store.follow("elsewhere"), settings)
    await until_so(partial(keys.exists, "chat:{elsewhere}:readers"))
    await until(lambda: asyncio.get_running_loop().time() - log.left_at > settings.resume_grace_s)
    assert await here.store.away_s(log) < settings.resume_grace_s
    cursor.close()

    async def left() -> bool:
        return await here.store.away_s(log) >= settings.resume_grace_s

    await until_so(left)


async def test_what_is_on_its_way_arrives_though_its_writer_is_cancelled(
    here: Worker, there: Worker
) -> None:
    log = await written(here.store, "cancelled", "a")
    appending = asyncio.create_task(here.store.append(log, [frame("b")], end=False))
    await asyncio.sleep(0)
    appending.cancel()
    await here.store.append(log, [END], end=True)
    assert log.last_seq == 3
    assert (await there.store.follow("cancelled")).read(0) == log.read(0)


async def test_an_emptied_redis_leaves_the_writer_alone_and_its_readers_elsewhere_with_a_gap(
    here: Worker, there: Worker, settings: Settings, keys: "Redis"
) -> None:
    log = await written(here.store, "emptied", "a")
    elsewhere = reader(await there.store.follow("emptied"), settings)
    await keys.flushall()
    await here.store.append(log, [frame("b"), END], end=True)
    assert (log.last_seq, log.ended) == (2 + 1, True)
    await until(lambda: elsewhere.code)
    assert elsewhere.code == HistoryLost.code
    assert await here.store.find("emptied") is None


async def test_keys_go_by_themselves(here: Worker, keys: "Redis", settings: Settings) -> None:
    log = await written(here.store, "expires", "a")
    await here.store.add(made("named"), "k")
    await here.store.append(log, [END], end=True)
    await here.store.release(log)
    await here.store.delivered(log, "t")
    found = await keys.keys()
    assert len(found) >= 5
    for name in found:
        assert (
            0 < await keys.pttl(name) <= 1000 * (2 * settings.session_s + settings.answer_timeout_s)
        )


async def test_without_redis_everything_is_refused_at_once_and_logged_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = RedisDsn("redis://user:a-password@127.0.0.1:1/0")
    store = RedisStore(settings, nowhere)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await store.add(made("x"), None)
    with pytest.raises(StoreUnavailable):
        await store.follow("x")
    await store.close()
    [line] = caplog.messages
    assert "127.0.0.1:1" in line
    assert "password" not in line
