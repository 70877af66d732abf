"""The provider that only backpressure can stop: what it says, and that it knows how far it came."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtests.provoking.hose import HOSE, MUTE, Hose, hose, token

WAIT_S = 5.0
SETTLED_S = 0.3


@contextmanager
def asked(
    upstream: Hose, request_id: str, model: str = HOSE, max_tokens: int | None = None
) -> Iterator[socket.socket]:
    """A request of which the answer waits to be read."""
    body = json.dumps({"model": model} | ({"max_tokens": max_tokens} if max_tokens else {}))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nX-Request-ID: {request_id}\r\n"
    port = int(upstream.url.removesuffix("/v1").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        yield connection


def all_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_an_answer_of_so_many_tokens() -> None:
    with hose() as upstream, asked(upstream, "r-1", max_tokens=3) as connection:
        answer = all_of(connection).decode()
        assert upstream.jet("r-1").closed.wait(WAIT_S)
    events = [line.removeprefix("data: ") for line in answer.splitlines() if "data: " in line]
    choices = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert "".join(choice["delta"]["content"] for choice in choices) == token(0) + token(1) + token(
        2
    )
    assert choices[-1]["finish_reason"] == "stop"
    assert events[-1] == "[DONE]"
    assert upstream.jet("r-1").written == 3


def test_who_does_not_read_stops_it_and_who_leaves_ends_it() -> None:
    with hose() as upstream:
        with asked(upstream, "r-1") as connection:
            connection.recv(1)
            jet = upstream.jet("r-1")
            deadline = time.monotonic() + WAIT_S
            while not (jet.written and jet.silent_s > SETTLED_S):
                assert time.monotonic() < deadline
                assert not jet.closed.wait(SETTLED_S / 10)
            written = jet.written
        assert jet.closed.wait(WAIT_S)
        assert jet.written == written


def test_the_mute_model_says_nothing() -> None:
    with hose() as upstream, asked(upstream, "r-1", model=MUTE) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert upstream.jet("r-1").written == 0


def test_answers_do_not_wait_for_each_other() -> None:
    with hose() as upstream, asked(upstream, "r-1", model=MUTE):
        with asked(upstream, "r-2", max_tokens=1) as second:
            assert all_of(second).endswith(b"data: [DONE]\n\n")
        assert not upstream.jet("r-1").closed.is_set()
