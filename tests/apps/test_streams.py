"""The stream on the wire: its headers, its frames, and its one ending."""

import time
from collections.abc import Iterator

import pytest

from tests.apps.exchange import JSON, Answer, frames, opened, post, send
from tests.conftest import Stack
from tests.servers import Server, Simulator, app

REQUEST = {"prompt": "hello", "stream": True}


def _asked_for(url: str, how: str, model: str = "sim", **more: int) -> Answer:
    if how == "field":
        return post(url, {**REQUEST, "model": model, **more})
    if how == "accept":
        return post(url, {"prompt": "hello", "model": model}, {"Accept": "text/event-stream"})
    return send(url, "GET", f"/chat?prompt=hello&model={model.replace('+', '%2B')}")


HOW = pytest.mark.parametrize("how", ["field", "accept", "query"])


@HOW
def test_a_stream_has_its_headers(streaming: Stack, how: str) -> None:
    answer = _asked_for(streaming.url, how)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["Content-Length"] is None
    assert answer.request_id


@HOW
def test_a_stream_ends_once_with_done(streaming: Stack, how: str) -> None:
    events = frames(_asked_for(streaming.url, how).body)
    assert [name for name, _ in events].count("done") == 1
    assert {name for name, _ in events[:-1]} == {"delta"}
    assert list(events[-1][1]) == ["id", "model", "finish_reason", "usage"]
    assert all(list(data) == ["text"] and data["text"] for _, data in events[:-1])


def test_frames_are_whole_lines(streaming: Stack) -> None:
    body = post(streaming.url, {**REQUEST, "prompt": "a\r\nb\rc\u2028d\n\ndata: x"}).body
    blocks = body.removesuffix(b"\n\n").split(b"\n\n")
    assert b"\r" not in body
    assert all(block.split(b"\n")[0].startswith(b"event: ") for block in blocks)
    assert all(block.split(b"\n")[1].startswith(b"data: {") for block in blocks)
    assert {len(block.split(b"\n")) for block in blocks} == {2}


def test_the_budget_ends_a_stream(streaming: Stack) -> None:
    *deltas, (name, done) = frames(post(streaming.url, {**REQUEST, "max_tokens": 5}).body)
    assert (name, done["finish_reason"]) == ("done", "length")
    assert done["usage"]["completion_tokens"] == 5
    assert deltas


def test_the_accept_header_may_name_others_too(streaming: Stack) -> None:
    accept = {"Accept": "application/json;q=0.5, text/event-stream"}
    answer = post(streaming.url, {"prompt": "hi"}, accept)
    assert answer.headers.get_content_type() == "text/event-stream"


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html"])
def test_clients_that_have_not_moved_get_json(streaming: Stack, accept: str) -> None:
    answer = post(streaming.url, {"prompt": "hi"}, {"Accept": accept})
    assert answer.headers.get_content_type() == "application/json"


@pytest.mark.parametrize("fault", ["malformed", "drop-mid", "error-object", "no-done"])
def test_a_failure_midway_is_one_terminal_event(streaming: Stack, fault: str) -> None:
    # The chatty profile has pauses, so that the first tokens are on the wire before the fault.
    answer = _asked_for(streaming.url, "field", f"sim:chatty+{fault}", max_tokens=40)
    *deltas, (name, failure) = frames(answer.body)
    assert answer.status == 200
    assert deltas
    assert {event for event, _ in deltas} == {"delta"}
    assert name == "failure"
    assert list(failure) == ["code", "message", "request_id", "retryable"]
    assert failure["code"].startswith("upstream_")
    assert failure["request_id"] == answer.request_id
    assert isinstance(failure["retryable"], bool)


def test_an_upstream_that_stays_open_after_its_end_does_not_hold_the_stream(
    streaming: Stack,
) -> None:
    started = time.monotonic()
    events = frames(_asked_for(streaming.url, "field", "sim:instant+open-after-done").body)
    assert events[-1][0] == "done"
    assert time.monotonic() - started < 2


def test_chunks_without_choices_are_passed_over(streaming: Stack) -> None:
    events = frames(_asked_for(streaming.url, "field", "sim:instant+empty-choices").body)
    assert events[-1][0] == "done"


def test_tokens_are_joined(streaming: Stack) -> None:
    deltas = frames(_asked_for(streaming.url, "field", "sim:instant").body)[:-1]
    assert len(deltas) <= 500 / 4 + 1


@pytest.fixture(scope="module")
def impatient(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The streaming app with every deadline short."""
    settings = {
        "CHAT_UPSTREAM_RETRIES": "0",
        "CHAT_FIRST_ITEM_WAIT_S": "0.1",
        "CHAT_HEARTBEAT_S": "0.2",
        "CHAT_FIRST_TOKEN_TIMEOUT_S": "1.2",
        "CHAT_TOKEN_TIMEOUT_S": "1.2",
    }
    directory = tmp_path_factory.mktemp("impatient")
    with app("fastapi_app", directory, upstream.base_url, settings) as server:
        yield server


def test_heartbeats_come_before_the_first_token(impatient: Server) -> None:
    answer = post(impatient.url, {**REQUEST, "model": "sim:article+stall"})
    pings = answer.body.count(b": ping\n\n")
    assert answer.status == 200
    assert 3 <= pings <= 8
    assert [(name, data["code"]) for name, data in frames(answer.body)] == [
        ("failure", "first_token_timeout")
    ]


def test_heartbeats_come_in_a_silence_midway(impatient: Server) -> None:
    body = post(impatient.url, {**REQUEST, "model": "sim:instant+stall-mid"}).body
    deltas, rest = body.split(b": ping\n\n", 1)
    assert deltas.startswith(b"event: delta\n")
    assert rest.count(b": ping\n\n") >= 2
    assert frames(body)[-1][1]["code"] == "token_timeout"


def test_a_heartbeat_needs_no_token(impatient: Server) -> None:
    body = b'{"prompt":"hi","stream":true,"model":"sim:article"}'
    with opened(impatient.url, "POST", "/chat", body, JSON) as response:
        first = response.readline()
    assert first == b": ping\n"


def test_the_first_token_is_on_the_wire_before_the_second(streaming: Stack) -> None:
    body = b'{"prompt":"hi","stream":true,"model":"sim:article","max_tokens":8}'
    with opened(streaming.url, "POST", "/chat", body, JSON) as response:
        lines = [response.readline() for _ in range(2)]
        first = time.monotonic()
        rest = response.read()
        last = time.monotonic()
    assert lines[0] == b"event: delta\n"
    assert rest.count(b"event: delta") >= 1
    # 500 tokens in 6.4 s: the seven that follow take some 90 ms.
    assert last - first > 0.05
