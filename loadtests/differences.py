"""In what two replies to the same request differ, in the words of a reader; pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from loadtests.client.reading import Answer
from loadtests.equality.replies import Reader, Reply
from shared.telemetry import IN_FLIGHT, REQUEST_ID_HEADER

EXCERPT = 24
HEADERS = (
    "Allow",
    "WWW-Authenticate",
    "Retry-After",
    "Location",
    "Cache-Control",
    "X-Accel-Buffering",
)
OWN_GAUGES = IN_FLIGHT.partition("_")[0]


@dataclass(frozen=True, slots=True)
class Apart:
    """One difference: what the batch stack shows, and what the streaming one."""

    legacy: str
    streaming: str

    def __str__(self) -> str:
        return f"legacy {self.legacy}, streaming {self.streaming}"


def ours(legacy: Reply, streaming: Reply, reader: Reader, request_id: str) -> Iterator[Apart]:
    """Status, headers that matter and body; a stream is held against the JSON by what it folds to."""
    forms = reader.form(legacy), reader.form(streaming)
    yield from _different(*forms)
    if legacy.status != streaming.status or legacy.trouble or streaming.trouble:
        return
    yield from _heads(legacy, streaming)
    yield from _different(_identity(legacy, request_id), _identity(streaming, request_id))
    if legacy.streams or streaming.streams:
        yield from answers(reader.answer(legacy), reader.answer(streaming), whole=True)
    elif forms[0] == forms[1]:
        yield from _bodies(legacy, streaming)


def answers(legacy: Answer, streaming: Answer, whole: bool) -> Iterator[Apart]:
    """Text and finish reason; with `whole` also usage, id and model. Half a stream is not compared."""
    if legacy.error:
        yield Apart(f"an answer that cannot be read ({legacy.error})", "an answer")
    if legacy.error or streaming.error:
        return
    yield from _texts("".join(legacy.text), "".join(streaming.text))
    for name in ("finish_reason", *(("usage", "id", "model") if whole else ())):
        yield from _values(name, getattr(legacy, name), getattr(streaming, name))


def _heads(legacy: Reply, streaming: Reply) -> Iterator[Apart]:
    for name in HEADERS:
        values = (reply.headers.get(name.lower()) for reply in (legacy, streaming))
        yield from _different(*(f"no {name}" if v is None else f"{name}: {v}" for v in values))
    closes = (
        "closes the connection" if r.closes else "keeps the connection" for r in (legacy, streaming)
    )
    yield from _different(*closes)


def _bodies(legacy: Reply, streaming: Reply) -> Iterator[Apart]:
    if legacy.body == streaming.body:
        return
    values = legacy.json(), streaming.json()
    if legacy.error and streaming.error:
        values = {**legacy.error, "request_id": ""}, {**streaming.error, "request_id": ""}
    if isinstance(values[0], dict) and isinstance(values[1], dict):
        for name in sorted(values[0].keys() | values[1].keys()):
            yield from _values(name, values[0].get(name), values[1].get(name))
    elif values != (None, None):
        yield from _values("body", *values)
    else:
        yield from _different(_plain(legacy), _plain(streaming))


def _plain(reply: Reply) -> str:
    """A body that is no JSON: the names of its gauges, or its beginning."""
    names = [line.split(" ")[0] for line in reply.body.decode("latin-1").splitlines()]
    gauges = sorted({name for name in names if name.startswith(f"{OWN_GAUGES}_")})
    if gauges:
        return ", ".join(gauges)
    return f"body {reply.body[:EXCERPT]!r} of {len(reply.body)} bytes, CRC {crc32(reply.body):08x}"


def _identity(reply: Reply, request_id: str) -> str:
    """What became of the X-Request-ID that was sent."""
    given = reply.headers.get(REQUEST_ID_HEADER.lower())
    word = "no" if given is None else "the same" if given == request_id else "a new"
    told = reply.error.get("request_id", given) if reply.error else given
    return f"{word} {REQUEST_ID_HEADER}" + (", another in the body" if told != given else "")


def _values(name: str, legacy: Any, streaming: Any) -> Iterator[Apart]:
    if name == "text" and isinstance(legacy, str) and isinstance(streaming, str):
        yield from _texts(legacy, streaming)
    elif legacy != streaming:
        yield Apart(f"{name} {_json(legacy)}", f"{name} {_json(streaming)}")


def _different(legacy: str, streaming: str) -> Iterator[Apart]:
    if legacy != streaming:
        yield Apart(legacy, streaming)


def _texts(legacy: str, streaming: str) -> Iterator[Apart]:
    if legacy == streaming:
        return
    if legacy.startswith(streaming):
        yield Apart("the whole text", "only its beginning")
        return
    pairs = enumerate(zip(legacy, streaming, strict=False))
    shorter = min(len(legacy), len(streaming))
    place = next((index for index, (a, b) in pairs if a != b), shorter)
    yield Apart(
        *(
            f"text of {len(text):,} characters, from {place:,} on {text[place : place + EXCERPT]!r}"
            for text in (legacy, streaming)
        )
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]
