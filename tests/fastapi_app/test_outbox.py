"""The outbox in a real loop: its bounds in items and bytes, its window, its heartbeat, one writer held up."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import pytest
from starlette.types import Message

from fastapi_app.outbox import Outbox
from fastapi_app.stream import EventStream
from shared.auth import ANONYMOUS
from shared.errors import UpstreamTimeout
from shared.schemas import ChatRequest, Delta, Done
from shared.settings import Settings
from tests.fastapi_app.serving import DONE, PlayedLLM, services
from tests.fastapi_app.whatwg import parse

ONE = Delta(("a",))
STEPS = 200


@contextmanager
def opened(**settings: object) -> Iterator[Outbox]:
    given: dict[str, object] = {"coalesce_ms": 60_000, "heartbeat_s": 60}
    outbox = Outbox(Settings.model_validate(given | settings))
    try:
        yield outbox
    finally:
        outbox.close()


async def settle() -> None:
    """Lets every task that can run do so; no time passes."""
    for _ in range(STEPS):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("settings", "event", "fits"),
    [
        ({"queue_items": 3, "coalesce_tokens": 9}, ONE, 3),
        ({"queue_items": 3, "coalesce_tokens": 9}, Delta(("a", "b")), 2),
        ({"queue_bytes": 10, "coalesce_tokens": 9}, Delta(("abcd",)), 3),
        ({"queue_bytes": 10, "coalesce_tokens": 9}, Delta(("語",)), 4),
        ({"queue_bytes": 10, "coalesce_tokens": 9}, Delta(("x" * 99,)), 1),
    ],
)
async def test_it_is_bounded_in_items_and_in_bytes(
    settings: dict[str, object], event: Delta, fits: int
) -> None:
    with opened(**settings) as outbox:
        put = 0
        while not outbox.full:
            outbox.put(event)
            put += 1
        assert put == fits
        room = asyncio.ensure_future(outbox.room())
        await settle()
        assert not room.done()
        await asyncio.wait_for(outbox.due(), 1)
        assert parse(outbox.take())
        await asyncio.wait_for(room, 1)
        assert outbox.full is False


async def test_room_is_there_at_once_where_nothing_is_pending() -> None:
    with opened() as outbox:
        await asyncio.wait_for(outbox.room(), 1)


async def test_the_writer_is_woken_for_the_first_token_the_count_and_the_end() -> None:
    with opened(coalesce_tokens=2) as outbox:
        woken = []
        for event in (ONE, ONE, ONE, ONE, DONE):
            if isinstance(event, Done):
                outbox.finish(event)
            else:
                outbox.put(event)
            due = asyncio.ensure_future(outbox.due())
            await settle()
            woken.append(due.done())
            if due.done():
                outbox.take()
            due.cancel()
        assert woken == [True, False, True, False, True]
        assert outbox.ended


async def test_the_window_counts_from_the_last_write() -> None:
    loop = asyncio.get_running_loop()
    with opened(coalesce_ms=50, coalesce_tokens=9) as outbox:
        outbox.put(ONE)
        outbox.take()
        written = loop.time()
        outbox.put(ONE)
        outbox.put(ONE)
        await asyncio.wait_for(outbox.due(), 1)
        assert 0.045 <= loop.time() - written < 0.5
        assert len(parse(outbox.take())) == 1


async def test_a_token_after_a_long_silence_waits_for_nothing() -> None:
    loop = asyncio.get_running_loop()
    with opened(coalesce_ms=40, coalesce_tokens=9) as outbox:
        outbox.put(ONE)
        outbox.take()
        await asyncio.sleep(0.06)
        outbox.put(ONE)
        put = loop.time()
        await asyncio.wait_for(outbox.due(), 1)
        assert loop.time() - put < 0.03


async def test_a_heartbeat_is_due_after_so_long_a_silence() -> None:
    loop = asyncio.get_running_loop()
    with opened(heartbeat_s=0.05) as outbox:
        outbox.put(ONE)
        outbox.take()
        for _ in range(3):
            started = loop.time()
            await asyncio.wait_for(outbox.due(), 1)
            assert 0.045 <= loop.time() - started < 0.5
            assert outbox.take() == b""


async def test_a_failure_before_anything_was_promised_is_a_refusal() -> None:
    with opened() as outbox:
        error = UpstreamTimeout()
        outbox.fail(error, "r-1")
        await asyncio.wait_for(outbox.first(60), 1)
        assert outbox.refusal is error


@pytest.mark.parametrize("promised_by", ["a token", "the wait"])
async def test_a_failure_afterwards_is_an_event(promised_by: str) -> None:
    with opened() as outbox:
        if promised_by == "a token":
            outbox.put(ONE)
        await asyncio.wait_for(outbox.first(0.01), 1)
        outbox.fail(UpstreamTimeout(), "r-1")
        assert outbox.refusal is None
        assert outbox.ended
        assert parse(outbox.take())[-1].name == "failure"


async def test_closing_wakes_the_writer() -> None:
    with opened() as outbox:
        due = asyncio.ensure_future(outbox.due())
        await settle()
        outbox.close()
        await asyncio.wait_for(due, 1)
        assert outbox.closed


@pytest.mark.parametrize("bound", [{"queue_items": 5}, {"queue_bytes": 5}])
async def test_a_writer_who_is_held_up_stops_the_producer(bound: dict[str, object]) -> None:
    made = 0

    async def play() -> AsyncGenerator[Delta | Done, None]:
        nonlocal made
        for _ in range(100):
            made += 1
            yield ONE
        yield DONE

    sent: list[Message] = []
    free = asyncio.Event()

    async def send(message: Message) -> None:
        sent.append(message)
        await free.wait()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    held = services(PlayedLLM(play), coalesce_ms=60_000, **bound)
    stream = EventStream(held, ChatRequest(prompt="hi"), ANONYMOUS, "r-1")
    writing = asyncio.ensure_future(stream({}, receive, send))
    await settle()
    assert [message["type"] for message in sent] == ["http.response.start"]
    # One more than fits: it is made, and waits for its room.
    assert made == 6
    free.set()
    await asyncio.wait_for(writing, 1)
    assert made == 100
    bodies = [message["body"] for message in sent[1:]]
    events = parse(b"".join(bodies))
    assert "".join(event.data for event in events if event.name == "delta").count("a") == 100
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(bodies) - 1) + [False]
