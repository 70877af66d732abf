"""Frames are well-formed chunks of well-formed events, whatever the names in them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from loadtests.simulation.vocabulary import json_bodies
from loadtests.simulation.wire import Frames, chunk


def payloads(body: bytes) -> list[bytes]:
    """The payloads of a sequence of chunks."""
    found = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n"
        found.append(rest[:length])
        body = rest[length + 2 :]
    return found


def data(payload: bytes) -> dict[str, object]:
    assert payload.startswith(b"data: ")
    assert payload.endswith(b"\n\n")
    assert b"\n" not in payload[:-2]
    value: dict[str, object] = json.loads(payload[len(b"data: ") : -2])
    return value


@given(st.binary(min_size=1))
def test_a_chunk_holds_its_payload(payload: bytes) -> None:
    assert payloads(chunk(payload)) == [payload]


@given(st.text(), st.text())
def test_tokens_of_any_answer(answer_id: str, model: str) -> None:
    frames = Frames(answer_id, model)
    for piece in json_bodies():
        (payload,) = payloads(frames.token(piece))
        event = data(payload)
        assert (event["id"], event["model"]) == (answer_id, model)
        assert event["choices"] == [
            {"index": 0, "delta": {"content": piece}, "finish_reason": None}
        ]
