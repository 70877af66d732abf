"""The log of an answer and its readers: who comes back gets what is missing, once, or is told of the loss."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fastapi_app.replay import Cursor, Log, failure_frame
from fastapi_app.sse import PING, apart, encode, frame, identified, text_of
from shared.errors import Draining, HistoryLost, InternalError, Stopped
from shared.schemas import Delta, Done
from shared.settings import Settings
from tests.fastapi_app.nasty import TEXTS, Sent, decoded, due, sent, text
from tests.fastapi_app.readers import (
    Reader,
    by_sse_reader,
    by_the_standard,
)
from tests.fastapi_app.session_client import data, frames
from tests.fastapi_app.whatwg import Dispatched, parse
from tests.shared.llm.bodies import cut, whole

T = TypeVar("T")
EXAMPLES = 100
EPOCH = 1_000
DONE = encode(Done(id="a", model="m", finish_reason="stop"))
SETTINGS = Settings.model_validate({"log_path": ""})


def by_httpx_sse_whole(chunks: Sequence[bytes]) -> list[Dispatched]:
    """With the events that have no data, which it makes of an id and an empty line."""
    headers = {"Content-Type": "text/event-stream; charset=utf-8"}
    response = httpx.Response(200, headers=headers, content=iter(chunks))
    events = EventSource(response).iter_sse()
    return [Dispatched(event.event, event.data, event.id) for event in events]


READERS = {
    "standard": by_the_standard,
    "sse_reader": by_sse_reader,
    "httpx_sse": by_httpx_sse_whole,
}


def looped(play: Callable[[], Awaitable[T]]) -> T:
    """What it gives in an event loop of its own."""

    async def run() -> T:
        return await play()

    return asyncio.run(run())


def begun(most_bytes: int = 1 << 20, kind: type[Log] = Log) -> Log:
    log = kind("s", most_bytes)
    log.begin(EPOCH)
    return log


def put(log: Log, *framed: bytes, end: bool = False) -> None:
    for number, (event_id, one) in enumerate(
        zip(log.next_ids(len(framed)), framed, strict=True), 1
    ):
        log.put(event_id, one, end=end and number == len(framed))


def reader(log: Log, last_id: str | None = None, **settings: object) -> Cursor:
    return Cursor(log, last_id, "r-1", SETTINGS.model_copy(update=settings))


def said(chunk: bytes) -> list[str]:
    """The texts of its deltas, and the code of its failure."""
    return [data(e).get("text") or data(e).get("code", e.name) for e in parse(chunk)]


# --- a client who comes and goes


class Client:
    """Keeps the events that came whole, as a browser does, and the last id; `gap` when it was told of one."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._cursor: Cursor | None = None
        self._connection = b""
        self.last_id = ""
        self.events: list[Dispatched] = []
        self.gap = False
        self.dropped = 0  # by the log, when this client was told of a gap

    def read(self, lost: int = 0) -> None:
        """Takes what is there; with `lost`, the connection drops and so many of its last bytes never came."""
        if self.gap:
            return
        if self._cursor is None:
            self._cursor = reader(self._log, self.last_id or None)
        self._connection += self._cursor.take()
        if lost or self._cursor.ended:
            self._drop(lost)

    def _drop(self, lost: int) -> None:
        assert self._cursor is not None
        self._cursor.close()
        came = parse(self._connection[: max(0, len(self._connection) - lost)])
        self.gap = any(e.name == "failure" and data(e)["code"] == "gap" for e in came)
        self.dropped = self._log.dropped
        # A gap that was cut off did not come; it is told again.
        self.events += came[:-1] if self.gap else came
        self.last_id = self.events[-1].last_id if self.events else ""
        self._cursor, self._connection = None, b""


def comes_and_goes(
    texts: Sequence[str], steps: Sequence[int], most_bytes: int, kind: type[Log]
) -> None:
    """A step of 0 writes a frame, 1 reads, and one beyond reads with the loss of so many bytes."""
    log = begun(most_bytes, kind)
    client = Client(log)
    framed = [encode(Delta((one,))) for one in texts] + [DONE]
    unwritten = list(framed)
    for step in steps:
        if step == 0 and unwritten:
            put(log, unwritten.pop(0), end=not unwritten)
        elif step:
            client.read(lost=step - 1)
    put(log, *unwritten, end=bool(unwritten))
    for _ in range(3):
        if not client.gap and (not client.events or client.events[-1].name != "done"):
            client.read()
    got = decoded(client.events)
    wanted = [(f"{EPOCH}-{n}", whole(one)) for n, one in enumerate(texts, 1)]
    if client.gap:
        assert [(e.last_id, e.data["text"]) for e in got] == wanted[: len(got)]
        assert len(got) <= client.dropped, "told of a gap where nothing that it lacks was lost"
    else:
        assert [(e.last_id, e.data["text"]) for e in got[:-1]] == wanted
        assert got[-1].name == "done"


@examples(max_examples=EXAMPLES, deadline=None)
@given(
    texts=st.lists(text, max_size=12),
    steps=st.lists(st.one_of(st.just(0), st.just(1), st.integers(2, 200)), max_size=30),
    most_bytes=st.sampled_from([1, 100, 300, 1 << 20]),
)
def test_who_comes_back_gets_each_frame_once_or_is_told_of_the_loss(
    texts: list[str], steps: list[int], most_bytes: int
) -> None:
    async def play() -> None:
        comes_and_goes(texts, steps, most_bytes, Log)

    looped(play)


class _FromTheStart(Log):
    """Gives everything again."""

    def after(self, last_id: str | None) -> int:
        super().after(last_id)
        return 0


class _OneTooFar(Log):
    """Leaves a frame out."""

    def after(self, last_id: str | None) -> int:
        return super().after(last_id) + bool(last_id)


class _Guesses(Log):
    """Goes on from where its frames begin, whatever the client has."""

    def after(self, last_id: str | None) -> int:
        try:
            return super().after(last_id)
        except HistoryLost:
            return self.dropped


class _AlwaysLost(Log):
    """Remembers nobody."""

    def after(self, last_id: str | None) -> int:
        if last_id:
            raise HistoryLost
        return 0


@pytest.mark.parametrize(
    ("mutant", "most_bytes"),
    [(_FromTheStart, 1 << 20), (_OneTooFar, 1 << 20), (_Guesses, 100), (_AlwaysLost, 1 << 20)],
)
async def test_a_log_that_repeats_skips_or_guesses_is_found(
    mutant: type[Log], most_bytes: int
) -> None:
    steps = [0, 1, 0, 2, 0, 0]  # one is read, the connection drops, and the rest is written
    comes_and_goes(["one", "two", "three"], steps, most_bytes, Log)
    with pytest.raises(AssertionError):
        comes_and_goes(["one", "two", "three"], steps, most_bytes, mutant)


@pytest.mark.parametrize("nasty", TEXTS, ids=ascii)
async def test_from_every_id_on_it_is_the_same_bytes(nasty: str) -> None:
    log = begun()
    put(log, *(encode(Delta((piece,))) for piece in (nasty, "b", nasty)), DONE, end=True)
    everything = frames(reader(log).take())
    ids = [one.partition(b"\n")[0].removeprefix(b"id: ").decode() for one in everything]
    assert ids == [f"{EPOCH}-{n}" for n in range(1, 5)]
    for had, last_id in enumerate(ids, 1):
        assert frames(reader(log, last_id).take()) == everything[had:]


# --- ids


UNKNOWN = (
    *("x", "-", "--", "1", "1000", "1000-", "-1", "1000-0", "1000--1", "1000-4", "1000-1-1"),
    *("1000-01", "01000-1", " 1000-1", "1000-1 ", "1000-1\n", "+1000-1", "1000-1.0", "1_000-1"),
    *(
        "999-1",
        "1001-1",
        "1000-" + "9" * 5000,
        "-1000-1",
        "\u0661000-1",
        "\ud83d",
        "\0",
        "1000\u20101",
    ),
    *("*", "$", ">", "0-0", "0"),
)


@pytest.mark.parametrize("last_id", UNKNOWN, ids=lambda one: ascii(one[:20]))
async def test_an_id_that_it_never_gave_is_a_gap(last_id: str) -> None:
    log = begun()
    put(log, frame("one"), frame("two"), frame("three"))
    lost = reader(log, last_id)
    assert lost.ended
    assert not lost.has_end
    assert said(lost.take()) == ["gap"]
    assert (lost.outcome, lost.code) == ("failed", "gap")


@pytest.mark.parametrize("nothing", [None, ""])
async def test_no_id_is_the_beginning(nothing: str | None) -> None:
    log = begun()
    put(log, frame("one"))
    assert said(reader(log, nothing).take()) == ["one"]


async def test_an_id_of_a_log_that_has_nothing_yet_is_a_gap() -> None:
    assert said(reader(Log("s", 100), "1000-1").take()) == ["gap"]
    assert reader(Log("s", 100)).take().startswith(b"retry: ")


async def test_another_hand_writes_under_another_epoch_and_counts_on() -> None:
    log = begun()
    put(log, frame("one"))
    log.begin(EPOCH - 500)  # a clock that is behind
    put(log, frame("two"))
    assert log.last_id == f"{EPOCH + 1}-2"
    assert said(reader(log, f"{EPOCH}-1").take()) == ["two"]
    assert said(reader(log, f"{EPOCH}-2").take()) == ["gap"]


async def test_nothing_is_put_twice_or_behind_the_end() -> None:
    log = begun()
    put(log, frame("one"), frame("two"))
    log.put(f"{EPOCH}-2", frame("two again"), end=False)
    log.put(f"{EPOCH}-1", frame("one again"), end=True)
    log.put(f"{EPOCH}-3", DONE, end=True)
    log.put(f"{EPOCH}-4", frame("late"), end=False)
    log.put(f"{EPOCH}-4", DONE, end=True)
    assert said(reader(log).take()) == ["one", "two", "done"]


# --- the bound


async def test_the_oldest_go_and_whoever_had_the_rest_goes_on() -> None:
    framed = frame("x")
    size = len(identified(framed, f"{EPOCH}-1"))
    log = begun(2 * size)
    put(log, framed, framed, framed)
    assert log.dropped == 1
    assert said(reader(log, f"{EPOCH}-2").take()) == ["x"]
    assert said(reader(log, f"{EPOCH}-1").take()) == ["gap"]
    assert said(reader(log).take()) == ["gap"]


async def test_a_frame_larger_than_the_bound_is_kept_until_the_next() -> None:
    log = begun(1)
    put(log, frame("large" * 100))
    assert said(reader(log).take()) == ["large" * 100]
    put(log, DONE, end=True)
    assert log.read(0) == [identified(DONE, f"{EPOCH}-2")]


async def test_a_reader_who_is_too_slow_is_told_and_the_quick_one_has_all() -> None:
    log = begun(100)
    slow, quick = reader(log), reader(log)
    got = b""
    for number in range(10):
        put(log, frame(str(number)))
        got += quick.take()
    put(log, DONE, end=True)
    got += quick.take()
    assert said(got) == [*map(str, range(10)), "done"]
    assert said(slow.take()) == ["gap"]
    assert (quick.has_end, slow.has_end) == (True, False)


# --- one end


async def test_the_first_end_of_a_reader_counts_and_is_the_last_of_it() -> None:
    log = begun()
    one = reader(log)
    one.fail(Draining(), "r-1")
    one.fail(InternalError(), "r-1")
    put(log, frame("one"), DONE, end=True)
    assert one.ended
    assert not one.has_end
    chunk = one.take()
    assert said(chunk) == ["draining"]
    assert parse(chunk)[0].last_id == ""
    assert (one.outcome, one.code) == ("drained", "draining")


async def test_who_is_told_of_a_drain_goes_on_where_it_was() -> None:
    log = begun()
    one = reader(log)
    put(log, frame("one"))
    before = one.take()
    put(log, frame("two"))
    one.fail(Draining(), "r-1")
    after = one.take()
    one.close()
    assert parse(before + after)[-1].last_id == f"{EPOCH}-1"
    put(log, failure_frame(Stopped(), "r-1"), end=True)
    assert said(reader(log, f"{EPOCH}-1").take()) == ["two", "stopped"]


async def test_a_reader_who_left_hears_nothing_and_may_leave_again() -> None:
    log = begun()
    one = reader(log)
    one.close()
    left_at = log.left_at
    one.fail(InternalError(), "r-1")
    put(log, frame("one"))
    one.close()
    assert log.readers == set()
    assert log.left_at >= left_at
    assert one.closed


async def test_due_is_set_by_whatever_there_is_to_write() -> None:
    log = begun()
    one = reader(log, heartbeat_s=60)
    await asyncio.wait_for(one.due(), 1)  # its own beginning
    one.take()
    happenings: tuple[Callable[[], None], ...] = (
        lambda: put(log, frame("one")),
        log.wake,
        lambda: one.fail(Draining(), "r-1"),
        one.close,
    )
    for happens in happenings:
        assert not one._due.is_set()
        happens()
        await asyncio.wait_for(one.due(), 1)
        one.take()


async def test_no_timer_is_left_of_a_reader() -> None:
    one = reader(begun(), heartbeat_s=0.01)
    await one.due()
    one.take()
    await asyncio.wait_for(one.due(), 1)  # a heartbeat
    assert one.take() == b""
    one.close()
    one.take()
    await asyncio.sleep(0.05)
    assert not one._due.is_set()


async def test_each_connection_begins_with_a_wait_of_its_own() -> None:
    log = begun()
    waits = [int(reader(log, reconnect_s=5).take().split()[1]) for _ in range(50)]
    assert 500 <= min(waits) < max(waits) <= 5000
    assert {int(reader(log, reconnect_s=0.1).take().split()[1]) for _ in range(5)} == {500}
    one = reader(log)
    assert [one.take().count(b"retry") for _ in range(2)] == [1, 0]


# --- frames


@examples(max_examples=EXAMPLES, deadline=None)
@given(stream=st.lists(sent, max_size=6))
def test_what_was_joined_is_taken_apart(stream: list[Sent]) -> None:
    framed = [one.bytes for one in stream]
    assert apart(b"".join(framed)) == framed
    said = [whole(one.event.text) if isinstance(one.event, Delta) else "" for one in stream]
    assert [text_of(one) for one in framed] == said


@pytest.fixture(scope="module", params=[*READERS, "eventsource_parser"])
def parser(request: pytest.FixtureRequest) -> Reader:
    """Each parser in its turn."""
    found: Reader = READERS.get(request.param) or request.getfixturevalue("npm")
    return found


@examples(max_examples=EXAMPLES // 2, deadline=None)
@given(
    texts=st.lists(st.none() | text, max_size=8), places=st.lists(st.integers(0, 2**16), max_size=8)
)
def test_a_stream_with_heartbeats_anywhere_is_its_events(
    parser: Reader, texts: list[str | None], places: list[int]
) -> None:
    """None is a heartbeat."""

    async def play() -> bytes:
        log = begun()
        one = reader(log)
        stream = one.take() or one.ping
        for said in texts:
            if said is not None:
                put(log, encode(Delta((said,))))
            stream += one.take() or one.ping
        put(log, DONE, end=True)
        return stream + one.take()

    wanted = [Sent(Delta((one,)), "") for one in texts if one is not None]
    numbered = [Sent(one.event, f"{EPOCH}-{n}") for n, one in enumerate(wanted, 1)]
    done = Sent(Done(id="a", model="m", finish_reason="stop"), f"{EPOCH}-{len(wanted) + 1}")
    assert decoded(parser(cut(looped(play), places))) == due([*numbered, done])


def test_behind_an_id_a_heartbeat_with_an_empty_line_would_be_an_event() -> None:
    """To httpx-sse, which keeps the id: that is why this one has none."""
    event = identified(frame("one"), "1-1")
    assert len(by_httpx_sse_whole([event + Cursor.ping + Cursor.ping + event])) == 2
    assert len(by_httpx_sse_whole([event + PING + PING + event])) == 4
