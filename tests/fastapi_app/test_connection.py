"""A client's connection, over real sockets: how long its request may take, how large its head may be."""

import socket
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import pytest

from fastapi_app.connection import KERNEL_SLACK_S, MAX_HEAD_BYTES, bound
from shared.schemas import Delta, Done
from shared.settings import Settings
from tests.fastapi_app.serving import DONE, WAIT_S, PlayedLLM, serving

QUICK_S = 0.3
HEAD = b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def play() -> AsyncGenerator[Delta | Done, None]:
    yield Delta(("one",))
    yield DONE


@pytest.fixture
def port() -> Iterator[int]:
    with serving(PlayedLLM(play), request_timeout_s=QUICK_S) as port:
        yield port


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        yield connection


def read_to_end(connection: socket.socket) -> bytes:
    """What comes until the server closes, or resets."""
    data = bytearray()
    try:
        while part := connection.recv(65_536):
            data += part
    except ConnectionResetError:
        pass
    return bytes(data)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HTT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"]
)
def test_a_head_that_does_not_come_ends_the_connection(port: int, sent: bytes) -> None:
    with connected(port) as connection:
        started = time.monotonic()
        connection.sendall(sent)
        assert read_to_end(connection) == b""
        assert QUICK_S * 0.9 <= time.monotonic() - started < WAIT_S


def test_bytes_that_trickle_do_not_prolong_it(port: int) -> None:
    with connected(port) as connection:
        connection.settimeout(QUICK_S / 10)
        deadline, closed = time.monotonic() + WAIT_S, False
        while not closed:
            assert time.monotonic() < deadline
            try:
                connection.sendall(b"a")
                closed = connection.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True


def test_the_next_head_on_a_kept_connection_has_its_time_again(port: int) -> None:
    with connected(port) as connection:
        for _ in range(2):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /hea")
        assert read_to_end(connection) == b""


def test_a_connection_that_idles_between_two_requests_is_kept(port: int) -> None:
    with connected(port) as connection:
        for _ in range(2):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            time.sleep(QUICK_S * 2)  # longer than a head may take


def test_a_body_that_does_not_come_is_a_408(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"prompt"')
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"request_timeout"' in answer
    assert b"connection: close" in answer.lower()


def test_a_head_of_any_size_is_not_taken(port: int) -> None:
    with connected(port) as connection:
        sent = 0
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
            while sent < 64 * MAX_HEAD_BYTES:
                sent += connection.send(b"a" * 4096)
        except OSError:
            pass
        assert sent < 64 * MAX_HEAD_BYTES
        assert read_to_end(connection) == b""


def test_what_is_bound_is_inherited_by_the_connections() -> None:
    settings = Settings.model_validate({"send_buffer_bytes": 20_000, "send_timeout_s": 3.0})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        bound(listener, settings)
        with connected(listener.getsockname()[1]), listener.accept()[0] as accepted:
            size = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            most_ms = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert size == 2 * 20_000  # the kernel doubles it, for its own accounting
    assert most_ms == (3 + KERNEL_SLACK_S) * 1000
