"""Clients that misbehave, seen from the server's side: what arrives, what is acknowledged, how they leave."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from loadtests.provoking.crowd import Told, ask, persist
from loadtests.provoking.peers import Answer, Peer, chat, get, is_whole, post

WAIT_S = 5.0
DELTA = b'event: delta\ndata: {"text":"Hi"}\n\n'
DONE = b'event: done\ndata: {"id":"a"}\n\n'
FAILED = b'event: failure\ndata: {"code":"draining"}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
REFUSED = b'HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 31\r\n\r\n{"error":{"code":"overloaded"}}'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def connected(**options: int) -> Iterator[tuple[Peer, socket.socket]]:
    """A peer, and the server's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with Peer(host, port, wait_s=WAIT_S, **options) as peer:
            accepted, address = listener.accept()
            with accepted:
                assert address[1] == peer.port
                accepted.settimeout(WAIT_S)
                yield peer, accepted


@asynccontextmanager
async def replying(*replies: bytes) -> AsyncIterator[tuple[str, int, list[int]]]:
    """Where a server gives these replies in turn, one a connection; and the length of what each was asked."""
    left = list(replies)
    asked: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(len(await reader.read(65_536)))
        writer.write(left.pop(0))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield (*server.sockets[0].getsockname(), asked)


def test_a_reset_is_a_reset() -> None:
    with connected() as (peer, accepted):
        peer.reset()
        with pytest.raises(ConnectionResetError):
            accepted.recv(1)


def test_a_close_is_a_fin_even_with_something_unread() -> None:
    with connected() as (peer, accepted):
        accepted.sendall(b"unread")
        accepted.settimeout(WAIT_S)
        peer.take(1)
        peer.close()
        assert accepted.recv(1) == b""
        assert peer.received == b"unread"


def test_who_has_finished_sending_still_reads() -> None:
    with connected() as (peer, accepted):
        peer.finish_sending()
        assert accepted.recv(1) == b""
        accepted.sendall(b"more")
        assert peer.take()
        assert peer.received == b"more"


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")
def test_who_vanished_acknowledges_nothing_and_says_nothing() -> None:
    with connected() as (peer, accepted):
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
        accepted.sendall(b"seen")
        peer.take()
        peer.vanish()
        began = time.monotonic()
        accepted.sendall(b"unseen")
        with pytest.raises(TimeoutError, match="timed out"):
            accepted.recv(1)
        assert 0.5 <= time.monotonic() - began < WAIT_S
        assert peer.received == b"seen"


def test_a_small_receive_buffer_stops_the_sender() -> None:
    def taken(receive_buffer: int) -> int:
        with connected(receive_buffer=receive_buffer) as (_, accepted):
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            accepted.setblocking(False)
            total = 0
            try:
                while total < 10**7:
                    total += accepted.send(bytes(1000))
            except BlockingIOError:
                pass
            return total

    assert taken(2048) < 20_000 < taken(1_000_000)


@pytest.mark.parametrize("spoke", [True, False])
def test_a_trickle_ends_when_the_server_speaks(spoke: bool) -> None:
    with connected() as (peer, accepted):
        if spoke:
            accepted.sendall(b"!")
        assert peer.trickle(b"abc", pause_s=0.02) is not spoke
        assert accepted.recv(10) == b"abc"[: 1 if spoke else 3]


def test_a_trickle_ends_when_the_server_hangs_up() -> None:
    with connected() as (peer, accepted):
        accepted.close()
        assert not peer.trickle(b"abc", pause_s=0.02)
        assert peer.ended


def test_an_answer_is_read_until_a_mark_and_to_its_end() -> None:
    with connected() as (peer, accepted):
        accepted.sendall(HEAD + chunk(DELTA))
        answer = peer.until(b"event: delta")
        assert (answer.status, answer.text, answer.endings, answer.whole) == (200, "Hi", [], False)
        accepted.sendall(chunk(DELTA) + chunk(DONE) + END)
        answer = peer.rest()
        assert (answer.text, answer.endings, answer.whole) == ("HiHi", ["done"], True)


def test_an_answer_that_is_cut_off_is_not_whole() -> None:
    with connected() as (peer, accepted):
        accepted.sendall(HEAD + chunk(DELTA) + chunk(FAILED)[:-4])
        accepted.close()
        answer = peer.rest()
    assert (answer.text, answer.endings, answer.whole) == ("Hi", [], False)


@pytest.mark.parametrize(
    ("received", "status", "whole"),
    [
        (b"", 0, False),
        (b"HTTP/1.1 200", 0, False),
        (b"garbage\r\n\r\n", 0, False),
        (HEAD, 200, False),
        (HEAD + END, 200, True),
        (REFUSED[:-1], 503, False),
        (REFUSED, 503, True),
    ],
)
def test_what_has_come_of_an_answer(received: bytes, status: int, whole: bool) -> None:
    answer = Answer.read(received)
    assert (answer.status, answer.whole) == (status, whole)


def test_the_code_of_a_refusal() -> None:
    assert Answer.read(REFUSED).code == "overloaded"
    assert Answer.read(HEAD + chunk(DELTA) + END).code == ""
    assert Answer.read(HEAD + chunk(FAILED) + END).endings == ["failure draining"]


def test_requests_announce_what_they_carry() -> None:
    head, _, body = chat("r-1", "sim", max_tokens=3).partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert post(7, "r-1").endswith(b"Content-Length: 7\r\n\r\n")
    assert get("/readyz").startswith(b"GET /readyz HTTP/1.1\r\n")
    assert not is_whole(head)


async def test_one_of_a_crowd_stays_to_the_end_or_leaves() -> None:
    whole = HEAD + chunk(DELTA) + chunk(DONE) + END
    async with replying(whole, HEAD + chunk(DELTA)) as (host, port, asked):
        stayed, left = Told("r-1"), Told("r-2")
        await ask(host, port, chat("r-1", "sim"), stayed)
        await ask(host, port, chat("r-2", "sim"), left, lambda received: b"delta" in received)
    assert (stayed.answer.endings, stayed.left, stayed.broken) == (["done"], False, False)
    assert (left.answer.text, left.left, left.broken) == ("Hi", True, False)
    assert len(asked) == 2


async def test_who_is_refused_asks_again_until_answered() -> None:
    async with replying(REFUSED, REFUSED, HEAD + chunk(DONE) + END) as (host, port, asked):
        told = Told("r-1")
        await persist(host, port, chat("r-1", "sim"), told, within_s=WAIT_S)
    assert (told.answer.status, told.attempts, len(asked)) == (200, 3, 3)


async def test_who_is_refused_gives_up_in_the_end() -> None:
    async with replying(REFUSED) as (host, port, _):
        told = Told("r-1")
        await persist(host, port, chat("r-1", "sim"), told, within_s=0)
    assert (told.answer.status, told.answer.code, told.attempts) == (503, "overloaded", 1)


async def test_who_asks_again_may_leave_as_well() -> None:
    async with replying(REFUSED, HEAD + chunk(DELTA)) as (host, port, _):
        told = Told("r-1")
        await persist(host, port, chat("r-1", "sim"), told, WAIT_S, lambda got: b"delta" in got)
    assert (told.answer.status, told.attempts, told.left) == (200, 2, True)


async def test_a_connection_that_fails_is_told_as_broken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
    told = Told("r-1")
    await ask(host, port, chat("r-1", "sim"), told)
    assert (told.broken, told.answer.status) == (True, 0)
