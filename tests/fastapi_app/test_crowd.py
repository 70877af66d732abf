"""Clients who are all cut off at once: they come back one by one, and each answer is bought once."""

import asyncio
import resource
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.fastapi_app.comeback import Client, session
from tests.servers import Simulator, app
from tests.web.brisk import brisk, said, simulator
from tests.web.relay import Relay, relaying

CROWD = 500
TOGETHER = 100
BUCKETS = 10
MOST = 0.3
RECONNECT_MS = (500, 2000)
WAIT_S = 60.0
DESCRIPTORS = 4096
MODEL = brisk(16, 6000)
PROMPT = "Say something."


@pytest.fixture(scope="module", autouse=True)
def _descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, DESCRIPTORS), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("provider"), MODEL) as running:
        yield running


@pytest.fixture(scope="module")
def relay(provider: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    settings = {"CHAT_RECONNECT_S": f"{RECONNECT_MS[1] / 1000:g}", "CHAT_LOG_PATH": ""}
    directory = tmp_path_factory.mktemp("crowd")
    with (
        app("fastapi_app", directory, provider.base_url, settings) as server,
        relaying(target=server.port) as running,
    ):
        yield running


def fullest(times_ms: Sequence[float]) -> float:
    """The share of those who come back in the fullest tenth of the window, or as long a time outside."""
    first, last = RECONNECT_MS
    width = (last - first) / BUCKETS
    buckets = Counter(int((time - first) // width) for time in times_ms)
    return max(buckets.values()) / len(times_ms)


def test_a_crowd_that_comes_back_at_once_would_be_seen() -> None:
    spread = [500 + 1500 * number / CROWD for number in range(CROWD)]
    assert fullest(spread) <= 0.11
    assert fullest([500] * CROWD) == fullest([3000] * CROWD) == 1
    assert fullest(spread[:200] + [1000] * 300) > MOST


async def clients(relay: Relay, names: Sequence[str], **more: object) -> dict[str, Client]:
    """A client with a session of its own for each name, which is also its request id."""
    request = {"prompt": PROMPT, **more}
    paths = await asyncio.gather(
        *(session(relay.host, relay.port, name, request) for name in names)
    )
    return {
        name: Client(relay.host, relay.port, path) for name, path in zip(names, paths, strict=True)
    }


async def test_a_crowd_cut_at_once_comes_back_spread_and_each_answer_is_bought_once(
    relay: Relay, provider: Simulator
) -> None:
    names = [f"crowd-{number}" for number in range(CROWD)]
    crowd = await clients(relay, names)
    before = relay.arrived
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as reading:
        for client in crowd.values():
            reading.create_task(client.follow())
        await asyncio.gather(*(client.begun.wait() for client in crowd.values()))
        assert not any(client.ended for client in crowd.values())
        assert await asyncio.to_thread(relay.cut) == CROWD
    assert relay.arrived - before == 2 * CROWD
    assert fullest([waited for client in crowd.values() for waited in client.waited_ms]) <= MOST
    for name, client in crowd.items():
        assert_complete(client, said(MODEL, name, PROMPT))
    provider.in_flight(0)
    provider.seen(names[0])
    assert {name: len(provider.records[name]) for name in names} == dict.fromkeys(names, 1)


async def test_one_session_that_a_hundred_come_back_to_is_bought_once(
    relay: Relay, provider: Simulator
) -> None:
    shorter = {"max_tokens": 5}
    [first] = (await clients(relay, ["shared"], **shorter)).values()
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as reading:
        reading.create_task(first.follow())
        await first.begun.wait()
        await asyncio.to_thread(relay.cut)
        crowd = [first.twin() for _ in range(TOGETHER)]
        for client in crowd:
            reading.create_task(client.follow())
    for client in (first, *crowd):
        assert_complete(client, said(MODEL, "shared", PROMPT, **shorter))
    provider.in_flight(0)
    assert len(provider.seen("shared")) == 1


def assert_complete(client: Client, text: str) -> None:
    """Every character and every event once, in order, and one end."""
    assert client.text == text
    assert client.endings == ["done"]
    assert client.positions == list(range(1, len(client.events) + 1))
