"""A reader who leaves takes the provider's request with them, within a second."""

import json
import time
from contextlib import ExitStack

import pytest

from tests.apps.exchange import JSON, asked, opened, post
from tests.conftest import Stack

MOST_NS = 1_000_000_000
ARTICLE = {"prompt": "hello", "model": "sim:article", "stream": True}


def _cancelled_after_ns(stack: Stack, request_id: str, left_ns: int) -> int:
    record = stack.simulator.ended(request_id, within_s=8)
    assert record["disconnected_ns"] is not None
    assert record["tokens"] < record["planned"]
    return int(record["disconnected_ns"]) - left_ns


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_before_the_first_token(streaming: Stack, stream: bool) -> None:
    request_id = f"left-early-{stream}"
    with asked(streaming.url, {**ARTICLE, "stream": stream}, {"X-Request-ID": request_id}):
        streaming.simulator.in_flight(1)
    left_ns = time.monotonic_ns()
    assert _cancelled_after_ns(streaming, request_id, left_ns) < MOST_NS
    streaming.simulator.in_flight(0)


@pytest.mark.parametrize("fault", ["", "+stall-mid"])
def test_leaving_midway(streaming: Stack, fault: str) -> None:
    request_id = f"left-midway{fault.replace('+', '-')}"
    headers = {**JSON, "X-Request-ID": request_id}
    body = json.dumps({**ARTICLE, "model": f"sim:article{fault}"}).encode()
    with opened(streaming.url, "POST", "/chat", body, headers) as response:
        assert response.readline() == b"event: delta\n"
    left_ns = time.monotonic_ns()
    assert _cancelled_after_ns(streaming, request_id, left_ns) < MOST_NS


def test_leaving_a_query(streaming: Stack) -> None:
    headers = {"X-Request-ID": "left-query"}
    path = "/chat?prompt=hello&model=sim:article"
    with opened(streaming.url, "GET", path, None, headers) as response:
        assert response.readline() == b"event: delta\n"
    assert _cancelled_after_ns(streaming, "left-query", time.monotonic_ns()) < MOST_NS


def test_leaving_before_the_body_is_sent(streaming: Stack) -> None:
    with asked(streaming.url, ARTICLE, {"Content-Length": "5000"}):
        pass
    assert post(streaming.url, {"prompt": "still here"}).status == 200


def test_many_leave_at_once(streaming: Stack) -> None:
    ids = [f"crowd-{number}" for number in range(20)]
    with ExitStack() as readers:
        for request_id in ids:
            readers.enter_context(asked(streaming.url, ARTICLE, {"X-Request-ID": request_id}))
        streaming.simulator.in_flight(len(ids))
    left_ns = time.monotonic_ns()
    assert max(_cancelled_after_ns(streaming, name, left_ns) for name in ids) < MOST_NS
    streaming.simulator.in_flight(0)


def test_nothing_is_said_of_it_in_the_log(streaming: Stack) -> None:
    before = len(streaming.app.logged())
    with asked(streaming.url, ARTICLE, {"X-Request-ID": "left-quietly"}):
        streaming.simulator.in_flight(1)
    streaming.simulator.ended("left-quietly")
    assert "Traceback" not in streaming.app.logged()[before:]
