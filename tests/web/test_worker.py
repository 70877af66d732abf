"""A worker is killed in mid-stream, and another one finishes its answer for the page."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers import Server, Simulator
from tests.stores import redis_for_a_test
from tests.web.brisk import brisk, said, simulator
from tests.web.relay import Relay, relaying
from tests.web.rig import RECONNECT_S, Rig, started, streamed
from tests.web.visit import Visiting

PROMPT = "Who goes on when a worker cannot?"
BEGUN = 40  # characters
MODEL = brisk(80, 2000)  # its answer is made twice


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Simulator]:
    with simulator(tmp_path, MODEL) as running:
        yield running


@pytest.fixture
def workers(provider: Simulator, tmp_path: Path) -> Iterator[dict[str, Server]]:
    """Two that have one Redis."""
    with redis_for_a_test(tmp_path) as redis, ExitStack() as opened:
        settings = {"REDIS_URL": redis.url, "CHAT_RECONNECT_S": str(RECONNECT_S)}
        worker = ("fastapi_app", tmp_path, provider.base_url, settings)
        first, second = started(opened, [worker, worker])
        yield {"first": first, "second": second}


@pytest.fixture
def balancer(rig: Rig, workers: dict[str, Server]) -> Iterator[Relay]:
    """Sends everybody to the first."""
    with relaying(rig.network.host, workers["first"].port) as relay:
        yield relay


def test_another_worker_finishes_the_answer(
    visit: Visiting, workers: dict[str, Server], balancer: Relay, provider: Simulator
) -> None:
    page = visit(balancer.url)
    page.ask(PROMPT)
    page.shows("stream", BEGUN)
    page.photograph("without-a-batch-stack")
    balancer.target = workers["second"].port
    os.killpg(workers["first"].process.pid, signal.SIGKILL)
    phase = page.comes_to("stream", "done", "failed")
    assert (phase, page.text("stream")) == ("done", said(MODEL, page.request_id(), PROMPT))
    asked = streamed(provider, page.request_id())
    assert [one["tokens"] < one["planned"] for one in asked] == [True, False]
