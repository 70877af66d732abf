"""Sessions over several workers and one Redis: begun on one, read on another, gone on with on a third."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from redis import Redis

from loadtests.profiles import PROFILES, write_script
from loadtests.simulation.upstream import Options
from tests.apps.exchange import Json
from tests.fastapi_app.session_client import (
    SESSIONS,
    Session,
    Site,
    Stream,
    failure,
    frames,
    issued,
    last_id,
    names,
    text,
    together,
    until,
)
from tests.servers import KEY, Server, Simulator, app, simulator
from tests.stores import RedisServer, redis_for_a_test

PROFILE = "production"  # 0.16 s to the first token, 4.3 ms between two
TOKENS = 300
PROMPT = "a-prompt-that-must-stay-private"
GRACE_S = 1.5
CROWD = 50
WAIT_S = 20.0
BOUNDED_S = 5.0
MOST_NS = 3e9  # half a second and the work of a busy machine; the silence itself is 30 s
OPTIONS: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("--workers", "2")}
WORKERS = 4
CONNECTIONS = 2  # of a worker: one asks, one waits
EARLY = 5  # frames of a stream that has far more


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_for_a_test(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def keys(redis: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(redis.url) as client:
        yield client


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("provider")) as running:
        yield running


class Workers:
    """Servers by name, each started when it is first needed, and again when a test has ended it."""

    def __init__(self, settings: dict[str, str], directory: Path) -> None:
        self._settings = settings
        self._directory = directory
        self._held = ExitStack()
        self.running: dict[str, Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def site(self, name: str, **more: str) -> Site:
        server = self.running.get(name)
        if server is None or server.process.poll() is not None:
            settings = {name: value for name, value in (self._settings | more).items() if value}
            options = OPTIONS.get(name, ())
            starting = app("fastapi_app", self._directory, None, settings, options)
            server = self.running[name] = self._held.enter_context(starting)
        return Site(server.url)


@pytest.fixture(scope="module")
def workers(
    redis: RedisServer, provider: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workers]:
    settings = {
        "REDIS_URL": redis.url,
        "OPENAI_BASE_URL": provider.base_url,
        "OPENAI_API_KEY": KEY,
        "CHAT_UPSTREAM_RETRIES": "0",
        "CHAT_RESUME_GRACE_S": str(GRACE_S),
        "CHAT_DRAIN_GRACE_S": "0.1",
    }
    with (
        Workers(settings, tmp_path_factory.mktemp("workers")) as running,
        ThreadPoolExecutor() as pool,
    ):
        list(pool.map(running.site, OPTIONS))
        yield running


@pytest.fixture
def a(workers: Workers) -> Site:
    return workers.site("a")


@pytest.fixture
def b(workers: Workers) -> Site:
    return workers.site("b")


@pytest.fixture
def c(workers: Workers) -> Site:
    """One server of two workers."""
    return workers.site("c")


@pytest.fixture
def differing(workers: Workers) -> Site:
    """A worker with another provider."""
    return workers.site("differing", OPENAI_BASE_URL="", OPENAI_API_KEY="")


def asked(**more: object) -> Json:
    return {"prompt": PROMPT, "model": f"sim:{PROFILE}", "max_tokens": TOKENS, **more}


def silent() -> Json:
    """Some tokens, and then nothing more for ever."""
    return asked(model="sim:instant+stall-mid", max_tokens=None)


def said(request_id: str) -> str:
    script = write_script(Options().seed, request_id, PROFILES[PROFILE], f"user: {PROMPT}", TOKENS)
    return script.text


def session(site: Site, request_id: str, request: Json | None = None, **headers: str) -> Session:
    return site.session(request or asked(), X_Request_ID=request_id, **headers)


def early(stream: Stream) -> bytes:
    """Some whole frames of the many that come."""
    read = stream.until(b"-%d\n" % (EARLY + 1))
    return read[: read.rindex(b"\n\n") + 2]


# --- from worker to worker


def test_posted_on_one_worker_read_on_another_and_gone_on_with_on_a_third(
    a: Site, b: Site, c: Site, provider: Simulator
) -> None:
    opened = session(a, "thirds")
    with a.reading(opened.path) as all_along:
        with b.reading(opened.path) as first:
            begun = early(first)
        rest = c.read(opened.path, last_id(begun))
        assert frames(begun) + frames(rest) == frames(all_along.rest())
    assert text(begun) + text(rest) == said("thirds")
    assert names(begun + rest) == ["done"]
    assert [a.ask("GET", opened.path).status, c.ask("GET", opened.path).status] == [204, 204]
    assert len(provider.seen("thirds")) == 1


def test_a_crowd_on_all_workers_buys_one_answer_over_one_waiting_connection_a_worker(
    a: Site, b: Site, c: Site, provider: Simulator, keys: Redis
) -> None:
    sites = [a, b, c]
    opened = session(sites[0], "crowd")
    turns = iter(range(CROWD))
    lock = threading.Lock()

    def one() -> bytes:
        with lock:
            site = sites[next(turns) % len(sites)]
        with site.reading(opened.path) as stream:
            stream.until(b"event: delta")
            clients = keys.client_list()
            assert sum(client["cmd"] == "xread" for client in clients) <= WORKERS
            return stream.rest()

    read = together(CROWD, one)
    assert {b"".join(frames(stream)) for stream in read} == {b"".join(frames(read[0]))}
    assert text(read[0]) == said("crowd")
    assert len(provider.seen("crowd")) == 1


def test_a_worker_has_two_connections_however_many_streams_it_reads(
    a: Site, b: Site, c: Site, keys: Redis
) -> None:
    with ExitStack() as open_streams:
        sessions = [session(a, f"many-{number}", silent()) for number in range(6)]
        for opened in sessions:
            for site in (a, b):
                stream = open_streams.enter_context(site.reading(opened.path))
                stream.until(b"event: delta")
        clients = keys.client_list()
        assert len(clients) - 1 <= CONNECTIONS * WORKERS
        assert [client["cmd"] for client in clients].count("xread") >= 1
        for opened in sessions:
            assert b.ask("DELETE", f"{SESSIONS}/{opened.id}").status == 204


# --- users


def test_a_stop_on_another_worker_ends_an_answer_in_a_silence(
    a: Site, b: Site, provider: Simulator
) -> None:
    opened = session(a, "stopped", silent())
    with a.reading(opened.path) as stream, b.reading(opened.path) as elsewhere:
        stream.until(b"event: delta")
        elsewhere.until(b"event: delta")
        assert b.ask("DELETE", f"{SESSIONS}/{opened.id}").status == 204
        at_ns = time.monotonic_ns()
        for one in (stream, elsewhere):
            told = failure(one.rest())
            assert (told["code"], told["retryable"]) == ("stopped", False)
    record = provider.ended("stopped")
    assert record["disconnected_ns"] - at_ns < MOST_NS
    assert a.ask("GET", opened.path).status == 204


def test_a_reader_on_any_worker_keeps_an_answer_alive(
    a: Site, b: Site, provider: Simulator
) -> None:
    opened = session(a, "left", silent())
    with b.reading(opened.path) as elsewhere:
        with a.reading(opened.path) as stream:
            stream.until(b"event: delta")
        left_at = time.monotonic()
        elsewhere.until(b"event: delta")
        until(lambda: time.monotonic() - left_at > GRACE_S + 1)
        assert provider.seen("left") == []
    record = provider.ended("left", within_s=WAIT_S)
    assert record["disconnected_ns"] / 1e9 - left_at > 2 * GRACE_S + 1 - 0.5
    assert failure(b.read(opened.path))["code"] == "abandoned"


def test_a_key_posted_to_two_workers_at_once_is_one_session(a: Site, b: Site) -> None:
    turns = iter((a, b) * 4)
    answers = together(
        8, lambda: next(turns).post(asked(), Idempotency_Key="at-once", X_Request_ID="at-once")
    )
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({issued(answer).id for answer in answers}) == 1
    reused = a.post(asked(prompt="another"), Idempotency_Key="at-once")
    assert (reused.status, reused.json()["error"]["code"]) == (422, "key_reused")


def test_a_fresh_ticket_counts_on_every_worker_and_the_replaced_one_on_none(
    a: Site, b: Site, c: Site
) -> None:
    older = session(a, "tickets", Idempotency_Key="tickets")
    fresh = session(b, "tickets", Idempotency_Key="tickets")
    assert older.id == fresh.id
    assert text(a.read(fresh.path)) == said("tickets")
    for site in (a, b, c):
        refused = site.ask("GET", older.path)
        assert (refused.status, refused.json()["error"]["code"]) == (403, "ticket_refused")


# --- Redis


def test_without_redis_a_stream_goes_on_and_new_ones_are_refused_until_it_is_back(
    a: Site, b: Site, workers: Workers, redis: RedisServer, provider: Simulator
) -> None:
    opened = session(a, "cut-off")
    with a.reading(opened.path) as stream, b.reading(opened.path) as elsewhere:
        early(stream)
        early(elsewhere)
        redis.kill()
        try:
            assert_refused(a)
            assert text(stream.rest()) == said("cut-off")
            assert failure(elsewhere.rest())["code"] == "store_unavailable"
            assert_refused(b, opened.path)
        finally:
            redis.start()
    for site in (a, b):
        until(partial(_is_back, site), WAIT_S)
    assert len(provider.seen("cut-off")) == 1
    again = session(a, "back")
    assert text(b.read(again.path)) == said("back")
    for server in workers.running.values():
        assert "Traceback" not in server.logged()
        assert PROMPT not in server.logged()


def test_a_redis_that_hangs_holds_nobody_up(a: Site, redis: RedisServer) -> None:
    opened = session(a, "hangs")
    with a.reading(opened.path) as stream:
        early(stream)
        redis.pause()
        try:
            assert_refused(a)
            assert text(stream.rest()) == said("hangs")
        finally:
            redis.resume()
    until(partial(_is_back, a), WAIT_S)


def test_an_emptied_redis_is_a_gap_elsewhere_and_nothing_to_the_owner(
    a: Site, b: Site, keys: Redis
) -> None:
    opened = session(a, "emptied")
    with a.reading(opened.path) as stream, b.reading(opened.path) as elsewhere:
        early(stream)
        early(elsewhere)
        keys.flushall()
        assert failure(elsewhere.rest())["code"] == "gap"
        assert text(stream.rest()) == said("emptied")
    assert b.ask("GET", opened.path).status == 403


def _is_back(site: Site) -> bool:
    return site.post(asked()).status == 201


def assert_refused(site: Site, path: str | None = None) -> None:
    """In one clear answer, and soon."""
    began = time.monotonic()
    answer = site.ask("GET", path) if path else site.post(asked())
    assert time.monotonic() - began < BOUNDED_S
    assert (answer.status, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert answer.headers["Retry-After"] == "1"


# --- owners that are gone


def test_a_killed_workers_answers_are_completed_or_their_history_is_lost(
    workers: Workers, a: Site, b: Site, c: Site, differing: Site, provider: Simulator
) -> None:
    same, differs = session(a, "killed"), session(a, "differs")
    with (
        a.reading(same.path) as dropped,
        c.reading(same.path) as all_along,
        a.reading(differs.path) as left,
        differing.reading(differs.path) as misled,
    ):
        begun = early(dropped)
        for stream in (all_along, left, misled):
            early(stream)
        workers.running["a"].process.kill()
        rest = b.read(same.path, last_id(begun))
        stayed, misled_to = all_along.rest(), misled.rest()
        assert text(begun) + text(rest) == text(stayed) == said("killed")
        assert names(rest) == names(stayed) == ["done"]
        assert failure(misled_to)["code"] == "gap"
    assert len(provider.seen("killed")) == 2
    assert len(provider.seen("differs")) == 1


def test_a_worker_that_drains_hands_over(
    workers: Workers, b: Site, c: Site, provider: Simulator
) -> None:
    opened = session(b, "handed-over")
    with b.reading(opened.path) as stream, c.reading(opened.path) as all_along:
        early(stream)
        early(all_along)
        workers.running["b"].process.send_signal(signal.SIGTERM)
        begun = stream.rest()
        told = failure(begun)
        assert (told["code"], told["retryable"]) == ("draining", True)
        assert frames(begun)[-1].startswith(b"event: failure")
        rest = c.read(opened.path, last_id(begun))
        stayed = all_along.rest()
        assert text(begun) + text(rest) == text(stayed) == said("handed-over")
        assert names(rest) == names(stayed) == ["done"]
    assert workers.running["b"].stop() == 0
    assert len(provider.seen("handed-over")) == 2
