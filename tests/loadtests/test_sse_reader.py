"""The decoder against the standard's rules, written a second time as a function over the whole text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.sse_reader import SseReader

END = re.compile("\r\n|\r|\n")
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["", "", "data", "data:", "data: ", "data:  x", "event: done", "event", ":x"]
        ),
        st.sampled_from(
            ["id: 7", "id", "id: a\0b", "retry: 250", "retry: soon", "datax: no", " data"]
        ),
        st.text(max_size=12).map(lambda text: "data: " + END.sub("", text)),
        st.text(max_size=8).map(lambda text: END.sub("", text)),
    ),
    max_size=14,
)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


def by_the_standard(text: str) -> list[tuple[str, str, str]]:
    """Section 9.2.6 over a whole stream: name, data and last event id of each dispatched event."""
    events: list[tuple[str, str, str]] = []
    name = last_id = ""
    data: list[str] = []
    *lines, _unfinished = END.split(text.removeprefix("\ufeff"))
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append((name or "message", "\n".join(data), last_id))
            name, data = "", []
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


def read(chunks: list[bytes]) -> list[tuple[str, str, str]]:
    reader = SseReader()
    found = [event for now, chunk in enumerate(chunks) for event in reader.feed(chunk, now)]
    reader.flush()
    return [(event.name, event.data, event.id) for event in found]


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """A stream, and its bytes cut anywhere: inside a line end, inside a character, inside a byte order mark."""
    lines = draw(LINES)
    text = draw(st.sampled_from(["", "\ufeff"])) + "".join(line + draw(ENDS) for line in lines)
    text += draw(st.sampled_from(["", "data: lost"]))
    raw = text.encode("utf-8")
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    bounds = zip([0, *cuts], [*cuts, len(raw)], strict=True)
    return text, [raw[start:end] for start, end in bounds]


@given(streams())
def test_any_stream_however_it_is_cut(stream: tuple[str, list[bytes]]) -> None:
    text, chunks = stream
    assert read(chunks) == by_the_standard(text)


@given(streams())
def test_a_byte_at_a_time(stream: tuple[str, list[bytes]]) -> None:
    text, _ = stream
    raw = text.encode()
    assert read([raw[place : place + 1] for place in range(len(raw))]) == by_the_standard(text)


def test_an_event_has_the_stamp_of_the_read_that_completed_it() -> None:
    reader = SseReader()
    assert reader.feed(b"data: one\n\nda", 10)[0].at_ns == 10
    assert reader.feed(b"ta: two\n", 20) == []
    two, three = reader.feed(b"\ndata: three\r\n\r\n", 30)
    assert [(two.data, two.at_ns), (three.data, three.at_ns)] == [("two", 30), ("three", 30)]


def test_a_cr_ends_its_line_at_once() -> None:
    assert [event.data for event in SseReader().feed(b"data: now\r\r", 1)] == ["now"]


def test_the_standards_own_example() -> None:
    raw = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
    assert read([raw]) == [
        ("message", "first event", "1"),
        ("message", "second event", ""),
        ("message", " third event", ""),
    ]


@pytest.mark.parametrize("cut_off", [b"data: a\n", b"data: a", b"\xef"])
def test_what_was_never_completed_is_not_dispatched(cut_off: bytes) -> None:
    reader = SseReader()
    assert reader.feed(cut_off, 1) == []
    assert reader.flush()


def test_a_whole_stream_leaves_nothing() -> None:
    reader = SseReader()
    assert len(reader.feed(b"data: a\n\n: ping\n\n", 1)) == 1
    assert not reader.flush()


def test_unicode_line_separators_end_no_line() -> None:
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"
    assert read([f"data: {text}\n\n".encode()]) == [("message", text, "")]


def test_retry_takes_digits_only() -> None:
    reader = SseReader()
    reader.feed(b"retry: 12x\n", 1)
    assert reader.retry_ms is None
    reader.feed(b"retry: 250\n", 2)
    assert reader.retry_ms == 250


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert read([b"data: \xff\n\n"]) == [("message", "\ufffd", "")]
