"""One producer, one bounded queue, one writer, one ending: under a real server, read with a plain socket."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator

import pytest

from fastapi_app.sse import PING
from shared.errors import UpstreamRateLimited, UpstreamTimeout
from shared.schemas import Delta, Done
from tests.fastapi_app.serving import (
    DONE,
    WAIT_S,
    Gate,
    Play,
    PlayedLLM,
    asked,
    asking,
    serving,
)
from tests.fastapi_app.whatwg import parse

Played = AsyncGenerator[Delta | Done, None]
LONG_S, LONG_MS = 60, 60_000


def texts(stream: bytes) -> list[str]:
    return [json.loads(event.data)["text"] for event in parse(stream) if event.name == "delta"]


def names(stream: bytes) -> list[str]:
    return [event.name for event in parse(stream)]


def test_the_first_token_is_written_before_the_second_is_made() -> None:
    gate = Gate()

    async def play() -> Played:
        yield Delta(("one",))
        await gate.wait()
        yield DONE

    with asked(PlayedLLM(play), coalesce_ms=LONG_MS) as reading:
        assert reading.head() == 200
        assert texts(reading.chunk()) == ["one"]
        gate.open()
        assert names(reading.rest()) == ["done"]


def test_tokens_are_written_when_there_are_enough() -> None:
    gate = Gate()

    async def play() -> Played:
        for token in "abcdefg":
            yield Delta((token,))
            await asyncio.sleep(0)  # a wake-up a token, as a provider brings them
        await gate.wait()
        yield DONE

    with asked(PlayedLLM(play), coalesce_tokens=3, coalesce_ms=LONG_MS) as reading:
        reading.head()
        assert [texts(reading.chunk()) for _ in range(3)] == [["a"], ["bcd"], ["efg"]]
        gate.open()
        assert names(reading.rest()) == ["done"]


def test_a_token_waits_no_longer_than_its_window() -> None:
    first, second = Gate(), Gate()

    async def play() -> Played:
        yield Delta(("one",))
        await first.wait()
        yield Delta(("two",))
        await second.wait()
        yield DONE

    with asked(PlayedLLM(play), coalesce_tokens=9, coalesce_ms=80) as reading:
        reading.head()
        assert texts(reading.chunk()) == ["one"]
        started = time.monotonic()
        first.open()
        assert texts(reading.chunk()) == ["two"]
        assert time.monotonic() - started < 1
        second.open()
        assert names(reading.rest()) == ["done"]


def test_the_end_waits_for_no_window() -> None:
    async def play() -> Played:
        yield Delta(("one",))
        yield Delta(("two",))
        yield DONE

    started = time.monotonic()
    with asked(PlayedLLM(play), coalesce_tokens=9, coalesce_ms=LONG_MS) as reading:
        reading.head()
        stream = reading.rest()
    assert "".join(texts(stream)) == "onetwo"
    assert names(stream)[-1] == "done"
    assert time.monotonic() - started < 2


def test_the_wait_for_the_first_token_commits_the_answer_and_a_heartbeat_says_so() -> None:
    gate = Gate()

    async def play() -> Played:
        await gate.wait()
        yield Delta(("one",))
        yield DONE

    with asked(PlayedLLM(play), first_item_wait_s=0.05, heartbeat_s=LONG_S) as reading:
        assert reading.head() == 200
        assert reading.chunk() == PING
        gate.open()
        stream = reading.rest()
    assert names(stream) == ["delta", "done"]


def test_heartbeats_come_before_the_first_token() -> None:
    gate = Gate()

    async def play() -> Played:
        await gate.wait()
        yield Delta(("one",))
        yield DONE

    with asked(PlayedLLM(play), first_item_wait_s=0.02, heartbeat_s=0.05) as reading:
        reading.head()
        assert reading.chunk() == PING
        started = time.monotonic()
        assert [reading.chunk() for _ in range(3)] == [PING] * 3
        assert 0.1 < time.monotonic() - started < 1
        gate.open()
        assert names(reading.rest()) == ["delta", "done"]


def test_heartbeats_come_in_a_silence_midway_and_not_beside_tokens() -> None:
    gate = Gate()

    async def play() -> Played:
        for _ in range(20):
            yield Delta(("a",))
            await asyncio.sleep(0.01)
        await gate.wait()
        yield DONE

    with asked(PlayedLLM(play), coalesce_tokens=1, heartbeat_s=0.15) as reading:
        reading.head()
        chunks = [reading.chunk() for _ in range(22)]
        gate.open()
        rest = reading.rest()
    assert PING not in chunks[:20]
    assert chunks[20:] == [PING] * 2
    assert names(rest) == ["done"]


def refused() -> Done:
    raise UpstreamRateLimited(headers={"Retry-After": "7"})


@pytest.mark.parametrize("late", [False, True])
def test_a_failure_before_the_first_token_keeps_its_status(late: bool) -> None:
    gate = Gate()

    async def play() -> Played:
        if late:
            await gate.wait()
        yield refused()

    with asked(PlayedLLM(play), first_item_wait_s=WAIT_S) as reading:
        if late:
            gate.open()
        assert reading.head() == 503
        assert reading.headers["retry-after"] == "7"
        assert reading.headers["content-type"] == "application/json"
        assert reading.json()["error"] == {
            "code": "upstream_rate_limited",
            "message": UpstreamRateLimited.message,
            "request_id": "r-1",
            "details": [],
        }


def test_a_failure_after_the_wait_is_an_event() -> None:
    gate = Gate()

    async def play() -> Played:
        await gate.wait()
        yield refused()

    with asked(PlayedLLM(play), first_item_wait_s=0.02, heartbeat_s=LONG_S) as reading:
        assert reading.head() == 200
        gate.open()
        [failure] = parse(reading.rest())
    assert failure.name == "failure"
    assert json.loads(failure.data) == {
        "code": "upstream_rate_limited",
        "message": UpstreamRateLimited.message,
        "request_id": "r-1",
        "retryable": True,
    }


# --- one ending, however the producer ends


async def finishes() -> Played:
    yield Delta(("one",))
    yield DONE


async def fails() -> Played:
    yield Delta(("one",))
    raise UpstreamTimeout


async def breaks() -> Played:
    yield Delta(("one",))
    raise RuntimeError("a secret of the program")


async def is_cancelled() -> Played:
    yield Delta(("one",))
    raise asyncio.CancelledError


async def just_stops() -> Played:
    yield Delta(("one",))


async def fails_after_the_end() -> Played:
    yield Delta(("one",))
    yield DONE
    raise UpstreamTimeout


async def goes_on_after_the_end() -> Played:
    yield Delta(("one",))
    yield DONE
    yield Delta(("two",))
    yield DONE


async def hangs_after_the_end() -> Played:
    yield Delta(("one",))
    yield DONE
    await asyncio.Event().wait()


async def breaks_while_it_closes() -> Played:
    try:
        yield Delta(("one",))
        yield DONE
    finally:
        raise RuntimeError("a secret of the program")


@pytest.mark.parametrize("wait_s", [WAIT_S, 0.01], ids=["at once", "after a wait"])
@pytest.mark.parametrize(
    ("ending", "name", "code"),
    [
        (finishes, "done", None),
        (fails, "failure", "upstream_timeout"),
        (breaks, "failure", "internal"),
        (is_cancelled, "failure", "internal"),
        (just_stops, "failure", "internal"),
        (fails_after_the_end, "done", None),
        (goes_on_after_the_end, "done", None),
        (hangs_after_the_end, "done", None),
        (breaks_while_it_closes, "done", None),
    ],
)
def test_a_stream_ends_once(ending: Play, name: str, code: str | None, wait_s: float) -> None:
    gate = Gate()

    async def play() -> Played:
        if wait_s < WAIT_S:
            await gate.wait()
        async for event in ending():
            yield event

    llm = PlayedLLM(play)
    with asked(llm, first_item_wait_s=wait_s, heartbeat_s=LONG_S) as reading:
        assert reading.head() == 200
        if wait_s < WAIT_S:
            gate.open()
        stream = reading.rest()
        assert llm.left.wait(1)
    *deltas, end = parse(stream)
    assert [delta.name for delta in deltas] == ["delta"]
    assert texts(stream) == ["one"]
    assert end.name == name
    assert json.loads(end.data).get("code") == code
    assert b"secret" not in stream


@pytest.mark.parametrize("play", [just_stops, breaks, finishes])
def test_the_next_reader_is_served(play: Play) -> None:
    with serving(PlayedLLM(play)) as port:
        for _ in range(2):
            with asking(port) as reading:
                assert reading.head() == 200
                assert len(parse(reading.rest())) == 2


# --- readers who leave, and readers who are slow


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_reader_who_leaves_ends_the_provider_s_stream(tokens: int) -> None:
    gate = Gate()

    async def play() -> Played:
        for _ in range(tokens):
            yield Delta(("one",))
        await gate.wait()
        yield DONE

    llm = PlayedLLM(play)
    with serving(llm) as port:
        with asking(port):
            gate.reached()
        left = time.monotonic()
        assert llm.left.wait(WAIT_S)
        assert time.monotonic() - left < 1


def test_a_slow_reader_holds_the_provider_up_and_gets_everything() -> None:
    # More than the kernel's buffers hold.
    token, count = "#" * 65_536, 512
    finished = threading.Event()

    async def play() -> Played:
        for _ in range(count):
            yield Delta((token,))
            await asyncio.sleep(0)
        finished.set()
        yield DONE

    with (
        serving(PlayedLLM(play), heartbeat_s=LONG_S) as port,
        asking(port, receive_buffer=65_536) as reading,
    ):
        reading.head()
        assert not finished.wait(1)
        stream = reading.rest()
    assert stream.count(b"#") == len(token) * count
    assert stream.count(b"event: done") == 1


def test_a_reader_who_leaves_while_the_outbox_is_full_ends_the_provider_s_stream() -> None:
    async def play() -> Played:
        while True:
            yield Delta(("x" * 65_536,))
            await asyncio.sleep(0)

    llm = PlayedLLM(play)
    with serving(llm, queue_bytes=1024) as port:
        with asking(port, receive_buffer=4096) as reading:
            reading.head()
            reading.chunk()
        left = time.monotonic()
        assert llm.left.wait(WAIT_S)
        assert time.monotonic() - left < 1
