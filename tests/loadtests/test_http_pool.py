"""Connections and responses, against a server that says exactly what it is told to, and then maybe hangs up."""

import os
import resource
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from geventhttpclient.response import HTTPParseError

from loadtests.client.http_pool import HttpPool, StreamedResponse
from loadtests.targets import Request

ASK = Request("POST", "/ask", {"X-Request-ID": "r-1"}, b"{}")
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def replying(*replies: bytes, hang_up: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these replies in turn, whatever it is asked; and what it was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []

    def serve() -> None:
        left = list(replies)
        while left:
            connection, _ = listener.accept()
            with connection:
                while left and (request := connection.recv(65536)):
                    asked.append(request)
                    connection.sendall(left.pop(0))
                    if hang_up:
                        break

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        thread.join()
        listener.close()


def ask(pool: HttpPool) -> StreamedResponse:
    return pool.send(ASK.method, pool.wire(ASK))


def body(response: StreamedResponse) -> bytes:
    return b"".join(iter(response.read_available, b""))


def test_what_is_sent() -> None:
    with replying(WHOLE) as (url, asked):
        assert body(ask(HttpPool(f"{url}/base/"))) == b"ok"
    host = url.removeprefix("http://").encode()
    head = b"POST /base/ask HTTP/1.1\r\nHost: %b\r\nX-Request-ID: r-1\r\nContent-Length: 2\r\n\r\n"
    assert asked == [head % host + b"{}"]


def test_a_connection_is_used_again() -> None:
    with replying(WHOLE, WHOLE, WHOLE) as (url, _):
        pool = HttpPool(url)
        assert [body(ask(pool)) for _ in range(3)] == [b"ok"] * 3
        assert pool.opened == 1


def test_one_that_was_hung_up_is_not() -> None:
    with replying(WHOLE, WHOLE, hang_up=True) as (url, asked):
        pool = HttpPool(url)
        assert body(ask(pool)) == b"ok"
        # The server's end is on its way; it is the one that has arrived which must be seen.
        select.select([pool._idle[-1][0].fileno()], [], [], 5)
        assert body(ask(pool)) == b"ok"
        assert pool.opened == 2
    assert len(asked) == 2


@pytest.mark.parametrize(
    "reply",
    [
        CHUNKED + b"2\r\nok",
        CHUNKED + b"2\r\nok\r\nnonsense",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 2",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
def test_a_broken_reply_raises_and_its_connection_is_gone(reply: bytes) -> None:
    with replying(reply, WHOLE, hang_up=True) as (url, _):
        pool = HttpPool(url)
        with pytest.raises(HTTPParseError):
            body(ask(pool))
        assert body(ask(pool)) == b"ok"
        assert pool.opened == 2


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    with replying(b"HTTP/1.1 200 OK\r\n\r\nall of it", hang_up=True) as (url, _):
        assert body(ask(HttpPool(url))) == b"all of it"


def test_a_body_is_taken_as_it_comes() -> None:
    with replying(CHUNKED + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n") as (url, _):
        response = ask(HttpPool(url))
        assert response.read_available() == b"onetwo"
        assert response.read_available() == b""


def test_connections_beyond_the_thousandth_descriptor_are_used_again() -> None:
    """select() would take none of them, and every request would open a new one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    taken: list[int] = []
    try:
        while not taken or taken[-1] <= 1024:
            taken.append(os.dup(0 if not taken else taken[-1]))
        with replying(WHOLE, WHOLE) as (url, _):
            pool = HttpPool(url)
            assert [body(ask(pool)) for _ in range(2)] == [b"ok"] * 2
            assert pool.opened == 1
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_refused_connection_raises() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(ConnectionRefusedError):
        ask(HttpPool(url))
