"""No text and no id can forge a frame: four parsers read back what went in, and no more."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_app.sse import PING, encode, identified
from shared.schemas import Delta, Event
from tests.fastapi_app.nasty import FORGED, TEXTS, Sent, decoded, due, everywhere, sent
from tests.fastapi_app.readers import (
    Reader,
    by_httpx_sse,
    by_sse_reader,
    by_the_standard,
)
from tests.fastapi_app.whatwg import Dispatched
from tests.shared.llm.bodies import cut

READERS = {
    "standard": by_the_standard,
    "sse_reader": by_sse_reader,
    "httpx_sse": by_httpx_sse,
}
EXAMPLES = 120
A_BYTE_EACH = range(100_000)

streams = st.lists(st.tuples(st.booleans(), sent), max_size=6)


@pytest.fixture(scope="module", params=[*READERS, "eventsource_parser"])
def reader(request: pytest.FixtureRequest) -> Reader:
    """Each parser in its turn."""
    found: Reader = READERS.get(request.param) or request.getfixturevalue("npm")
    return found


# No deadline: a parser may be another process, which waits for a core.
@settings(max_examples=EXAMPLES, deadline=None)
@given(stream=streams, places=st.lists(st.integers(0, 2**16), max_size=12))
def test_what_went_in_is_read_back(
    reader: Reader, stream: list[tuple[bool, Sent]], places: list[int]
) -> None:
    raw = b"".join((PING if late else b"") + one.bytes for late, one in stream)
    assert decoded(reader(cut(raw, places))) == due([one for _, one in stream])


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_in_every_place_and_a_byte_at_a_time(reader: Reader, text: str) -> None:
    stream = everywhere(text)
    raw = b"".join(one.bytes + PING for one in stream)
    assert decoded(reader(cut(raw, A_BYTE_EACH[: len(raw)]))) == due(stream)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"], ids=ascii)
def test_a_frame_without_json_is_forged(reader: Reader, end: str) -> None:
    """What the parsers would see if a text could end its line: they are able to fail."""
    raw = f"event: delta\ndata: a{FORGED}".replace("\n", end).encode() + PING
    assert [event.name for event in reader([raw])] == ["delta", "done"]


def test_an_id_that_could_end_its_line_would_forge_an_event(reader: Reader) -> None:
    raw = b"id: 1" + FORGED.encode() + encode(Delta(("a",)))
    assert [event.name for event in reader([raw])] == ["done", "delta"]


def test_an_id_with_nul_would_not_be_kept(reader: Reader) -> None:
    raw = b"id: 1\0\n" + encode(Delta(("a",)))
    assert reader([raw]) == [Dispatched("delta", '{"text":"a"}', "")]


@pytest.mark.parametrize(
    "event_id", ["\r", "\n", "\0", "1-2\r\n", "a\0b", FORGED, "\ud83d"], ids=ascii
)
def test_an_id_that_cannot_be_written_is_refused(event_id: str) -> None:
    framed = encode(Delta(("a",)))
    with pytest.raises(ValueError, match=r"CR, LF or NUL|surrogates not allowed"):
        identified(framed, event_id)


def test_an_id_stays_until_the_next(reader: Reader) -> None:
    stream = [Sent(Delta(("a",)), "e-1"), Sent(Delta(("b",))), Sent(Delta(("c",)), "")]
    raw = b"".join(one.bytes for one in stream)
    assert [event.last_id for event in reader([raw])] == ["e-1", "e-1", ""]


def test_no_event_has_a_name_that_browsers_use() -> None:
    """An event named `error` reaches the handler of a lost connection."""
    names = {kind.event for kind in get_args(Event)}
    assert names == {"delta", "done", "failure"}
    assert names.isdisjoint({"error", "open", "message"})
