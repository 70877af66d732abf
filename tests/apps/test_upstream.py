"""Trouble at the provider: each kind has its own true status, in both stacks and before a stream too."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.apps.exchange import Answer, post, send
from tests.conftest import APPS, Stack
from tests.servers import Server, Simulator, app

BEFORE_THE_FIRST_TOKEN = [
    ("429", 503, "upstream_rate_limited", "1"),
    ("401", 502, "upstream_unauthorized", None),
    ("500", 502, "upstream_unavailable", None),
    ("503", 502, "upstream_unavailable", None),
    ("html", 502, "upstream_protocol", None),
]
MIDWAY = [
    ("malformed", 502, "upstream_protocol"),
    ("drop-mid", 502, "upstream_protocol"),
    ("no-done", 502, "upstream_protocol"),
]


def _batch(url: str, model: str) -> Answer:
    return post(url, {"prompt": "hello", "model": model})


def _stream(url: str, model: str) -> Answer:
    return post(url, {"prompt": "hello", "model": model, "stream": True})


def _query(url: str, model: str) -> Answer:
    return send(url, "GET", f"/chat?prompt=hello&model={model.replace('+', '%2B')}")


Ask = Callable[[str, str], Answer]
WAYS = pytest.mark.parametrize("ask", [_batch, _stream, _query], ids=["batch", "stream", "query"])


@WAYS
@pytest.mark.parametrize(("fault", "status", "code", "retry_after"), BEFORE_THE_FIRST_TOKEN)
def test_a_refusal_keeps_its_true_status(
    stack: Stack, ask: Ask, fault: str, status: int, code: str, retry_after: str | None
) -> None:
    answer = ask(stack.url, f"sim:instant+{fault}")
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["Retry-After"] == retry_after
    assert answer.headers.get_content_type() == "application/json"
    assert answer.json()["error"]["details"] == []


@WAYS
def test_a_connection_that_breaks_off_is_a_502(stack: Stack, ask: Ask) -> None:
    answer = ask(stack.url, "sim:instant+drop")
    assert answer.status == 502
    assert answer.code in ("upstream_unreachable", "upstream_protocol")


@pytest.mark.parametrize(
    ("fault", "status", "code"), [row for row in MIDWAY if row[0] != "no-done"]
)
def test_half_an_answer_is_no_answer(stack: Stack, fault: str, status: int, code: str) -> None:
    answer = _batch(stack.url, f"sim:instant+{fault}")
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("fault", ["error-object", "empty-choices"])
def test_an_answer_without_an_answer_is_a_502(stack: Stack, fault: str) -> None:
    answer = _batch(stack.url, f"sim:instant+{fault}")
    assert answer.status == 502
    assert answer.code.startswith("upstream_")


def test_both_stacks_word_it_alike(stacks: dict[str, Stack]) -> None:
    for fault, *_ in BEFORE_THE_FIRST_TOKEN:
        model = f"sim:instant+{fault}"
        bodies = [_batch(stack.url, model).but_for_the_id() for stack in stacks.values()]
        assert bodies[0] == bodies[1]


def test_the_next_request_is_served(stack: Stack) -> None:
    assert _batch(stack.url, "sim:instant+drop").status == 502
    assert _batch(stack.url, "sim:instant").status == 200


@contextmanager
def _deaf() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


@contextmanager
def _closed() -> Iterator[str]:
    """A port that is bound and refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


QUICK = {
    "CHAT_UPSTREAM_RETRIES": "0",
    "CHAT_FIRST_TOKEN_TIMEOUT_S": "0.3",
    "CHAT_ANSWER_TIMEOUT_S": "0.6",
}


@pytest.mark.parametrize("name", APPS)
def test_a_refused_connection_is_a_502(tmp_path: Path, name: str) -> None:
    with _closed() as url, app(name, tmp_path, url, QUICK) as server:
        answers = [ask(server.url, "sim") for ask in (_batch, _stream, _query)]
    assert {(answer.status, answer.code) for answer in answers} == {(502, "upstream_unreachable")}


@pytest.mark.parametrize("name", APPS)
def test_silence_is_a_504(tmp_path: Path, name: str) -> None:
    with _deaf() as url, app(name, tmp_path, url, QUICK) as server:
        answers = [ask(server.url, "sim") for ask in (_batch, _stream, _query)]
    assert {answer.status for answer in answers} == {504}
    streams = "first_token_timeout" if name == "fastapi_app" else "answer_timeout"
    codes = ["answer_timeout", streams, streams]
    assert [answer.code for answer in answers] == codes


@pytest.fixture(scope="module", params=APPS)
def patient(
    request: pytest.FixtureRequest, upstream: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """An app that retries, and waits for no Retry-After of a second."""
    settings = {"CHAT_UPSTREAM_RETRIES": "1", "CHAT_UPSTREAM_RETRY_AFTER_S": "0.5"}
    directory = tmp_path_factory.mktemp("patient")
    with app(request.param, directory, upstream.base_url, settings) as server:
        yield server


@WAYS
def test_a_passing_failure_is_retried(patient: Server, upstream: Simulator, ask: Ask) -> None:
    before = {name: len(records) for name, records in upstream.records.items()}
    answer = ask(patient.url, "sim:instant+500-once")
    assert answer.status == 200
    seen = upstream.seen(answer.request_id)
    assert answer.request_id not in before
    assert [record["status"] for record in seen] == [500, 200]


@WAYS
def test_a_long_retry_after_is_passed_on_at_once(
    patient: Server, upstream: Simulator, ask: Ask
) -> None:
    answer = ask(patient.url, "sim:instant+429")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert len(upstream.seen(answer.request_id)) == 1
