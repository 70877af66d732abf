"""What an app sent, byte for byte: a tap between nginx and the app that streams, and what it kept."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from loadtests.nginx import proxied
from loadtests.streams import Asking, take
from loadtests.tap import Tap, TapOverflow, responses, tapped
from tests.conftest import Stack
from tests.servers import free_port

MIB = 2**20
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def asking(request_id: str, **more: object) -> Asking:
    body = {"prompt": "hello", "model": "sim:instant", "max_tokens": 20, "stream": True, **more}
    return Asking(request_id, json.dumps(body).encode())


async def test_it_keeps_what_the_app_sent_and_nginx_passes_all_of_it(
    streaming: Stack, tmp_path: Path
) -> None:
    crowd = [asking(f"tap-{number}") for number in range(20)]
    whole = asking("tap-whole", stream=False)
    batch = Asking("tap-whole", whole.body, headers=(("Content-Type", "application/json"),))
    async with tapped(streaming.app.port) as tap:
        with proxied(tmp_path, [f"http://127.0.0.1:{tap.port}"]) as proxy:
            # Two rounds, so that nginx uses the connections of the first one again.
            taken = await take(proxy.ports.plain, [*crowd, batch])
            taken += await take(proxy.ports.plain, [asking("tap-again")])
        kept = tap.bodies()
    assert {one.trouble for one in taken} == {""}
    assert kept == {one.request_id: one.body for one in taken}


async def test_an_answer_that_breaks_off_is_kept_as_far_as_it_came(
    streaming: Stack, tmp_path: Path
) -> None:
    impatient = [("proxy_read_timeout 310s;", "proxy_read_timeout 200ms;")]
    async with tapped(streaming.app.port) as tap:
        with proxied(tmp_path, [f"http://127.0.0.1:{tap.port}"], changes=impatient) as proxy:
            (cut,) = await take(proxy.ports.plain, [asking("cut", model="sim:instant+pause-20")])
        # The proxy left in the middle, and so the app was left too.
        await asyncio.to_thread(streaming.simulator.ended, "cut")
        assert (cut.trouble, cut.ending) == ("broken off", "dropped")
        assert tap.bodies() == {"cut": cut.body}
    assert b"event: delta" in cut.body


async def test_an_app_that_is_not_there_looks_like_one_that_closes() -> None:
    async with tapped(free_port()) as tap:
        (taken,) = await take(tap.port, [asking("nobody")])
        assert (taken.status, taken.trouble, tap.bodies()) == (0, "no answer", {})


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]
loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[Tap]:
    """A tap in front of a server of one handler."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, tapped(server.sockets[0].getsockname()[1]) as tap:
        yield tap


@loops
def test_each_half_of_a_conversation_ends_by_itself(run: Run) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"heard " + await reader.read())
        writer.close()

    async def speak() -> bytes:
        async with serving(echo) as tap:
            reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
            writer.write(b"all of this")
            writer.write_eof()
            heard = await reader.read()
            writer.close()
        return heard

    assert run(speak()) == b"heard all of this"


@loops
def test_an_app_writes_no_faster_than_its_reader_takes(run: Run) -> None:
    size, written = 32 * MIB, asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(size // MIB):
            writer.write(bytes(MIB))
            await writer.drain()
        written.set()
        writer.close()

    async def read_late() -> tuple[bool, int]:
        async with serving(flood) as tap:
            reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
            with suppress(TimeoutError):
                await asyncio.wait_for(written.wait(), 0.3)
            early, heard = written.is_set(), len(await reader.read())
            writer.close()
        return early, heard

    assert run(read_late()) == (False, size)


async def test_more_than_is_kept_passes_and_is_said(streaming: Stack) -> None:
    async with tapped(streaming.app.port, most_bytes=100) as tap:
        (taken,) = await take(tap.port, [asking("too-much")])
        assert (taken.trouble, taken.ending) == ("", "done")
        with pytest.raises(TapOverflow, match="more than the 100 bytes"):
            tap.bodies()


bodies = st.lists(st.tuples(st.booleans(), st.binary(max_size=30)), min_size=1, max_size=5)


@given(bodies, st.data())
def test_responses_are_told_apart_however_their_bytes_are_cut(
    given_bodies: list[tuple[bool, bytes]], data: st.DataObject
) -> None:
    wire = b"".join(
        _response(number, chunked, body) for number, (chunked, body) in enumerate(given_bodies)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    parts = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert responses(parts) == {
        f"r-{number}": body for number, (_, body) in enumerate(given_bodies)
    }


def _response(number: int, chunked: bool, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nX-Request-ID: r-{number}\r\n"
    if not chunked:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    chunks = b"".join(b"1\r\n%b\r\n" % body[at : at + 1] for at in range(len(body)))
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"
