"""Limits a user, over both apps and one Redis: who is over them gets a 429, and the provider hears nothing."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.apps.exchange import JSON, Answer, frames, opened, post
from tests.conftest import APPS
from tests.servers import Server, Simulator, app
from tests.stores import RedisServer, redis_for_a_test

CROWD, LIMIT, PLACES = 200, 30, 2
USERS = ("ada", "bob", "eve", "joe", "kim", "lea")
RING = ",".join(f"{user}:{hashlib.sha256(user.encode()).hexdigest()}" for user in USERS)
SETTINGS = {
    "CHAT_API_KEYS": RING,
    "CHAT_RATE_LIMIT": f"{LIMIT}/hour",
    "CHAT_UPSTREAM_RETRIES": "0",
}
HELD = {"prompt": "hold", "model": "sim:article", "max_tokens": 40}  # 1.7 s
Apps = dict[str, Server]


@contextmanager
def _apps(folder: Path, upstream: Simulator, settings: dict[str, str]) -> Iterator[Apps]:
    first, second = APPS
    with (
        app(first, folder, upstream.base_url, settings) as legacy,
        app(second, folder, upstream.base_url, settings) as streaming,
    ):
        yield {first: legacy, second: streaming}


@pytest.fixture(scope="module")
def in_memory(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    settings = {**SETTINGS, "CHAT_USER_ANSWERS": str(PLACES)}
    with _apps(tmp_path_factory.mktemp("in-memory"), upstream, settings) as apps:
        yield apps


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_for_a_test(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def in_redis(
    redis: RedisServer, upstream: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Apps]:
    settings = {**SETTINGS, "REDIS_URL": redis.url}
    with _apps(tmp_path_factory.mktemp("in-redis"), upstream, settings) as apps:
        yield apps


def _asked(server: Server, user: str, request_id: str = "limits", **request: object) -> Answer:
    headers = {"Authorization": f"Bearer {user}", "X-Request-ID": request_id}
    return post(server.url, {"prompt": "hi", "max_tokens": 2, **request}, headers)


@pytest.mark.parametrize(
    ("name", "user", "stream"),
    [("legacy_flask", "ada", False), ("fastapi_app", "bob", False), ("fastapi_app", "eve", True)],
)
def test_exactly_the_limit_of_a_crowd_reaches_the_provider(
    in_redis: Apps, upstream: Simulator, name: str, user: str, stream: bool
) -> None:
    server = in_redis[name]
    with ThreadPoolExecutor(CROWD // 4) as clients:
        answers = list(
            clients.map(
                lambda number: _asked(server, user, f"{user}-{number}", stream=stream), range(CROWD)
            )
        )
    let_in = {number for number, answer in enumerate(answers) if answer.status == 200}
    assert len(let_in) == LIMIT
    assert {answer.status for answer in answers} == {200, 429}
    for number in let_in:
        upstream.ended(f"{user}-{number}")
        server.logs(f'"request_id":"{user}-{number}"')
    assert {n for n in range(CROWD) if upstream.seen(f"{user}-{n}")} == let_in
    # A call that was refused leaves no record.
    assert server.logged().count(f'"request_id":"{user}-') == LIMIT
    denied = next(answer for answer in answers if answer.status == 429)
    assert denied.code == "rate_limited"
    assert 3500 < int(denied.headers["Retry-After"]) <= 3600


def test_both_stacks_count_one_user_together_and_refuse_alike(in_redis: Apps) -> None:
    legacy, streaming = (in_redis[name] for name in APPS)
    shares = [
        [_asked(server, "joe").status for _ in range(LIMIT)] for server in (legacy, streaming)
    ]
    assert [share.count(200) for share in shares] == [LIMIT, 0]
    refusals = [
        _asked(legacy, "joe"),
        _asked(streaming, "joe"),
        _asked(streaming, "joe", stream=True),
    ]
    assert {answer.status for answer in refusals} == {429}
    assert len({answer.body for answer in refusals}) == 1
    assert {answer.headers["Content-Type"] for answer in refusals} == {"application/json"}
    after = [int(answer.headers["Retry-After"]) for answer in refusals]
    assert max(after) - min(after) <= 2
    assert _asked(streaming, "kim").status == 200


@pytest.mark.parametrize("name", APPS)
def test_no_more_answers_under_way_than_a_user_has_places(in_memory: Apps, name: str) -> None:
    server = in_memory[name]
    with ThreadPoolExecutor(PLACES) as clients:
        held = [
            clients.submit(_asked, server, "ada", f"held-{name}", **HELD) for _ in range(PLACES)
        ]
        _holds(server, PLACES)
        refused = _asked(server, "ada")
        assert (refused.status, refused.code) == (429, "too_many_answers")
        assert refused.headers["Retry-After"] == "1"
        assert _asked(server, "bob").status == 200
        assert [one.result().status for one in held] == [200] * PLACES
    # It was refused for want of a place, and so it is not charged.
    left = [_asked(server, "ada").status for _ in range(LIMIT)]
    assert left == [200] * (LIMIT - PLACES) + [429] * PLACES


def _holds(server: Server, count: int) -> None:
    """Returns when so many answers are under way."""
    while _gauge(server) != count:
        assert server.process.poll() is None


def _gauge(server: Server) -> float:
    with opened(server.url, "GET", "/metrics") as response:
        text = response.read().decode()
    lines = [line for line in text.splitlines() if line.startswith("chat_answers_in_flight")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_a_client_that_leaves_gives_its_place_back(in_memory: Apps) -> None:
    server = in_memory["fastapi_app"]
    body = json.dumps({**HELD, "stream": True}).encode()
    headers = {**JSON, "Authorization": "Bearer lea"}
    for _ in range(PLACES + 1):
        with opened(server.url, "POST", "/chat", body, headers) as response:
            assert response.status == 200
            assert response.readline()
        _holds(server, 0)
    assert _asked(server, "lea").status == 200


def test_redis_killed_leaves_running_streams_alone_and_limits_in_force(
    in_redis: Apps, redis: RedisServer
) -> None:
    """The last test of this Redis."""
    streaming = in_redis["fastapi_app"]
    body = json.dumps({**HELD, "stream": True}).encode()
    headers = {**JSON, "Authorization": "Bearer lea"}
    with opened(streaming.url, "POST", "/chat", body, headers) as response:
        first = response.readline()
        redis.kill()
        events = frames(first + response.read())
    assert events[-1][0] == "done"
    assert len("".join(data["text"] for _, data in events[:-1])) > 0
    for server in in_redis.values():
        alone = [_asked(server, "lea").status for _ in range(2 * LIMIT)]
        already = 1 if server is streaming else 0
        assert alone.count(200) == LIMIT - already
        assert set(alone) == {200, 429}
        server.logs("this process limits by itself")
        assert redis.url not in server.logged()
