"""How two replies to the same request differ: one line for each difference, in the words of a reader; pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.client.reading import Answer

EXCERPT = 24


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `trouble` instead of a status when nothing did."""

    status: int = 0
    media_type: str = ""
    body: bytes = b""
    trouble: str = ""


def answers(legacy: Answer, streaming: Answer, whole: bool) -> Iterator[str]:
    """Text and finish reason; with `whole` also usage, id and model."""
    for side, answer in (("legacy", legacy), ("streaming", streaming)):
        if answer.error:
            yield f"the {side} answer cannot be read ({answer.error})"
    if legacy.error or streaming.error:
        return
    texts = "".join(legacy.text), "".join(streaming.text)
    if texts[0] != texts[1]:
        yield _text_difference(*texts)
    for name in ("finish_reason", *(("usage", "id", "model") if whole else ())):
        values = getattr(legacy, name), getattr(streaming, name)
        if values[0] != values[1]:
            yield f"{name}: legacy {_json(values[0])}, streaming {_json(values[1])}"


def refusals(legacy: Reply, streaming: Reply) -> Iterator[str]:
    """Status, media type and error body, its request id aside."""
    if legacy.trouble or streaming.trouble or legacy.status != streaming.status:
        yield f"status: legacy {shown(legacy)}, streaming {shown(streaming)}"
        return
    if legacy.media_type != streaming.media_type:
        yield f"content type: legacy {legacy.media_type!r}, streaming {streaming.media_type!r}"
    bodies = _error_of(legacy.body), _error_of(streaming.body)
    if bodies[0] == bodies[1]:
        return
    if not (isinstance(bodies[0], dict) and isinstance(bodies[1], dict)):
        yield f"error body: legacy {_json(bodies[0])}, streaming {_json(bodies[1])}"
        return
    for field in sorted(bodies[0].keys() | bodies[1].keys()):
        values = bodies[0].get(field), bodies[1].get(field)
        if values[0] != values[1]:
            yield f"error {field}: legacy {_json(values[0])}, streaming {_json(values[1])}"


def media_types(replies: Iterable[Reply], expected: Iterable[str]) -> Iterator[str]:
    """Content types, parameters aside, against those that were expected."""
    for side, reply, wanted in zip(("legacy", "streaming"), replies, expected, strict=True):
        if reply.media_type != wanted:
            yield f"content type: {side} {reply.media_type!r} instead of {wanted!r}"


def _error_of(body: bytes) -> Any:
    """The error object without its request id; a body that is none stands for itself."""
    try:
        value = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return value
    return {name: field for name, field in error.items() if name != "request_id"}


def _text_difference(legacy: str, streaming: str) -> str:
    pairs = enumerate(zip(legacy, streaming, strict=False))
    shorter = min(len(legacy), len(streaming))
    place = next((index for index, (a, b) in pairs if a != b), shorter)
    shown = [repr(text[place : place + EXCERPT]) for text in (legacy, streaming)]
    sizes = f"{len(legacy):,} and {len(streaming):,} characters"
    return f"text, from character {place:,} on: legacy {shown[0]}, streaming {shown[1]} ({sizes})"


def shown(reply: Reply) -> str:
    """A reply in a word or two."""
    if reply.trouble:
        return reply.trouble
    error = _error_of(reply.body) if reply.status != 200 else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return f"{reply.status} {code}" if code else str(reply.status)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]
