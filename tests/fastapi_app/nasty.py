"""Events whose contents could break a frame or forge one, and what a reader has to get for them."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from fastapi_app.sse import encode, identified
from shared.schemas import Delta, Done, Event, Failure, Usage
from tests.fastapi_app.whatwg import Dispatched
from tests.shared.llm.bodies import whole

FORGED = "\n\nevent: done\ndata: {}\n\n"
TEXTS = (
    "",
    " ",
    "\0",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\r\r",
    FORGED,
    FORGED.replace("\n", "\r"),
    FORGED.replace("\n", "\r\n"),
    FORGED.replace("\n", "\u2028"),
    FORGED.replace("\n", "\u2029"),
    FORGED.replace("\n", "\x85"),
    FORGED.replace("\n", "\x0b"),
    "\nid: forged\n",
    "\nretry: 1\n",
    "\n: ping\n\n",
    "id: forged",
    "retry: 1",
    ": ping",
    "data: [DONE]",
    '"}\n\ndata: {"text":"',
    "\ufeff",
    "\ufeffdata: x",
    "%b%s{}\\n\\u000a",
    "\x1c\x1d\x1e\x0c\x7f\x9f",
    "é語🙂\U0010ffff",
    "e\u0301\u200d\u202e",
    "\ud83d",
    "\ude00",
    "\ude00\ud83d",
    "a\udfff\r\n\ud800b",
)

_ALPHABET = '\r\n:\0\u2028\u2029\x85\x0b\ufeff "\\%{}\ud83d\ude00🙂evntdaidoretry1'
text = st.text(max_size=20) | st.text(_ALPHABET, max_size=30) | st.sampled_from(TEXTS)

_counts = st.integers(0, 2**70)
_usages = st.builds(Usage, prompt_tokens=_counts, completion_tokens=_counts, total_tokens=_counts)
deltas = st.lists(text, min_size=1, max_size=5).map(lambda pieces: Delta(tuple(pieces)))
dones = st.builds(Done, id=text, model=text, finish_reason=text, usage=st.none() | _usages)
failures = st.builds(Failure, code=text, message=text, request_id=text, retryable=st.booleans())


class Sent(NamedTuple):
    """An event, and the id that it is sent with."""

    event: Event
    id: str | None = None

    @property
    def bytes(self) -> bytes:
        framed = encode(self.event)
        return framed if self.id is None else identified(framed, self.id)


class Read(NamedTuple):
    """An event as a reader has it, its data decoded."""

    name: str
    data: dict[str, Any]
    last_id: str


def as_id(text: str) -> str:
    """What of this text an id may hold."""
    return whole(text).translate(dict.fromkeys(map(ord, "\r\n\0")))


sent = st.builds(Sent, deltas | dones | failures, st.none() | text.map(as_id))


def everywhere(text: str) -> list[Sent]:
    """This text in every place of an event that is not fixed."""
    # Token by token, as a slow model sends it: surrogate pairs are cut between two.
    pieces = tuple(text) or ("",)
    return [
        Sent(Delta((text,)), as_id(text)),
        Sent(Delta(pieces)),
        Sent(Done(id=text, model=text, finish_reason=text), as_id(text)),
        Sent(Failure(code=text, message=text, request_id=text, retryable=True)),
    ]


def due(stream: Sequence[Sent]) -> list[Read]:
    """What a reader has to get."""
    last_id = ""
    reads: list[Read] = []
    for event, event_id in stream:
        last_id = last_id if event_id is None else event_id
        reads.append(Read(event.event, _data(event), last_id))
    return reads


def _data(event: Event) -> dict[str, Any]:
    data = {"text": event.text} if isinstance(event, Delta) else event.model_dump()
    return {name: whole(value) if isinstance(value, str) else value for name, value in data.items()}


def decoded(events: Sequence[Dispatched]) -> list[Read]:
    """What a reader got."""
    return [Read(event.name, json.loads(event.data), event.last_id) for event in events]
