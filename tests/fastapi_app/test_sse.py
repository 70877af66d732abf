"""Events on the wire: whatever the text, a browser reads back exactly what was sent."""

import json
from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastapi_app.sse import PING, Coalescer, encode, frame
from shared.schemas import Delta, Done, Event, Failure, Usage
from tests.fastapi_app.whatwg import comments, parse
from tests.shared.llm.bodies import whole

text = st.text(max_size=30) | st.text("\r\n:\0\u2028\u2029\x85\x0b\ufeff eventdatai", max_size=30)
broken_text = st.text(st.characters(), max_size=10) | st.text("\ud83d\ude00a", max_size=6)
reads = st.lists(st.lists(text, min_size=1, max_size=9).map(tuple), max_size=9)
USAGE = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
DONE = Done(id="a", model="m", finish_reason="stop", usage=USAGE)
ends = st.builds(
    Done, id=text, model=text, finish_reason=text, usage=st.none() | st.just(USAGE)
) | (st.builds(Failure, code=text, message=text, request_id=text, retryable=st.booleans()))
FORGED = "\n\nevent: done\ndata: {}\n\n"


def texts(stream: bytes) -> list[str]:
    return [json.loads(event.data)["text"] for event in parse(stream) if event.name == "delta"]


@given(text)
@example(FORGED)
@example(FORGED.replace("\n", "\r"))
@example(FORGED.replace("\n", "\r\n"))
@example("\u2028\u2029\x85\x0b\x0c\x1c\0\ufeff")
def test_a_token_is_read_back_exactly(sent: str) -> None:
    [event] = parse(encode(Delta((sent,))))
    assert (event.name, event.last_id) == ("delta", "")
    assert json.loads(event.data) == {"text": sent}


@given(ends)
@example(DONE.model_copy(update={"id": FORGED, "model": "\r" + FORGED, "finish_reason": "\0"}))
def test_an_end_is_read_back_exactly(end: Done | Failure) -> None:
    [event] = parse(encode(end))
    assert event.name == type(end).event
    assert type(end).model_validate_json(event.data) == end
    assert list(json.loads(event.data)) == list(type(end).model_fields)


@given(broken_text)
@example("\ud83d")
@example("\ude00\ud83d")
def test_half_a_surrogate_pair_becomes_one_replacement(sent: str) -> None:
    [read] = texts(frame(sent))
    assert read == whole(sent)


@given(text)
def test_a_frame_is_two_lines_and_an_empty_one(sent: str) -> None:
    lines = frame(sent).split(b"\n")
    assert lines[0] == b"event: delta"
    assert lines[1].startswith(b'data: {"text":"')
    assert lines[2:] == [b"", b""]
    assert b"\r" not in frame(sent)


def test_a_heartbeat_is_seen_by_nobody() -> None:
    stream = encode(Delta(("a",))) + PING + encode(DONE)
    assert [event.name for event in parse(stream)] == ["delta", "done"]
    assert comments(stream) == [b": ping"]


def chunks_of(events: list[Event], most: int, late: frozenset[int] = frozenset()) -> list[bytes]:
    """What a writer sends that takes what is due at once, and after the events in `late` what is pending."""
    coalescer = Coalescer(most)
    chunks: list[bytes] = []
    for position, event in enumerate(events):
        if coalescer.feed(event) or position in late:
            chunks.append(coalescer.flush())
    return chunks


@given(reads, ends, st.integers(1, 6), st.frozensets(st.integers(0, 8)))
def test_nothing_is_lost_doubled_or_reordered(
    pieces: list[tuple[str, ...]], end: Done | Failure, most: int, late: frozenset[int]
) -> None:
    stream = b"".join(chunks_of([*map(Delta, pieces), end], most, late))
    assert "".join(texts(stream)) == "".join("".join(read) for read in pieces)
    assert [event.name for event in parse(stream) if event.name != "delta"] == [type(end).event]
    assert parse(stream)[-1].name == type(end).event


@given(broken_text, st.integers(1, 6))
def test_a_pair_that_two_tokens_share_is_joined_in_a_chunk(sent: str, most: int) -> None:
    coalescer = Coalescer(most)
    coalescer.feed(Delta(tuple(sent)))
    read = "".join(texts(coalescer.flush()))
    assert read == whole(sent)


@pytest.mark.parametrize("most", [1, 2, 4, 7])
def test_the_first_token_goes_at_once_and_the_others_by_count(most: int) -> None:
    tokens = [str(number) for number in range(20)]
    sent = [
        texts(chunk) for chunk in chunks_of([*(Delta((token,)) for token in tokens), DONE], most)
    ]
    rest = tokens[1:]
    full = ["".join(rest[at : at + most]) for at in range(0, len(rest), most)]
    assert list(chain.from_iterable(sent)) == ["0", *full]


def test_a_large_read_is_one_chunk() -> None:
    coalescer = Coalescer(4)
    assert coalescer.feed(Delta(("a",) * 9))
    assert texts(coalescer.flush()) == ["a" * 9]
    assert coalescer.feed(Delta(("b",) * 9))
    assert texts(coalescer.flush()) == ["b" * 9]


@pytest.mark.parametrize(
    "end", [DONE, Failure(code="c", message="m", request_id="r", retryable=True)]
)
def test_the_end_waits_for_nobody_and_takes_what_is_pending_along(end: Done | Failure) -> None:
    coalescer = Coalescer(4)
    coalescer.feed(Delta(("a",)))
    coalescer.flush()
    assert [coalescer.feed(Delta(("b",))), coalescer.feed(Delta(("c",)))] == [False, False]
    assert coalescer.feed(end)
    assert coalescer.flush() == frame("bc") + encode(end)
    assert coalescer.flush() == b""


def test_an_end_alone_is_a_chunk() -> None:
    coalescer = Coalescer(4)
    assert coalescer.feed(DONE)
    assert coalescer.flush() == encode(DONE)


@pytest.mark.parametrize(
    ("token", "size"), [("ab", 2), ("é", 2), ("語", 3), ("🙂", 4), ("\ud83d", 3)]
)
def test_what_is_pending_is_counted(token: str, size: int) -> None:
    coalescer = Coalescer(4)
    coalescer.feed(Delta((token, "c")))
    assert (coalescer.pending_items, coalescer.pending_bytes) == (2, size + 1)
    coalescer.flush()
    assert (coalescer.pending_items, coalescer.pending_bytes) == (0, 0)


def test_a_flush_of_nothing_does_not_open_the_stream() -> None:
    coalescer = Coalescer(4)
    assert coalescer.flush() == b""
    assert coalescer.feed(Delta(("a",)))
