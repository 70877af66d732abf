"""Bodies as providers send them, and ways to cut them."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, AnyStr

from hypothesis import strategies as st

Json = dict[str, Any]
ID = "chatcmpl-7"
MODEL = "a-model-2026"
COUNTED: Json = {
    "prompt_tokens": 11,
    "completion_tokens": 5,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
}
END = b"data: [DONE]"

text = st.text(max_size=40)
contents = st.lists(text, max_size=8)
broken_text = st.text(st.characters(), max_size=12) | st.text(
    "\ud83d\ude00\udbff\udc00ab", max_size=8
)


def completion(content: str | None, **more: Any) -> bytes:
    """A whole completion."""
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    answer = {"id": ID, "object": "chat.completion", "created": 1, "model": MODEL}
    return json.dumps(answer | {"choices": [choice], "usage": COUNTED} | more).encode()


def chunk(delta: Json | None = None, finish: str | None = None, **more: Any) -> Json:
    """One chunk with one choice; without a delta, with none."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    answer = {"id": ID, "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return answer | {"choices": [] if delta is None else [choice], "usage": None} | more


def chunks(contents: Sequence[str]) -> list[Json]:
    """What a provider sends for an answer of these tokens."""
    opening = chunk({"role": "assistant", "content": "", "refusal": None})
    tokens = [chunk({"content": content}) for content in contents]
    return [opening, *tokens, chunk({}, "stop"), chunk(usage=COUNTED)]


def data_lines(values: Sequence[Json], *, ascii_only: bool = True) -> list[bytes]:
    """Each value on the line of its own event, and the last line that ends a stream."""
    lines = [b"data: " + json.dumps(v, ensure_ascii=ascii_only).encode() for v in values]
    return [*lines, END]


def stream(contents: Sequence[str], newline: bytes = b"\n") -> bytes:
    """The stream of an answer of these tokens."""
    return b"".join(line + 2 * newline for line in data_lines(chunks(contents)))


def half(*contents: str) -> bytes:
    """The beginning of a stream: these tokens, and no end."""
    return b"".join(
        line + b"\n\n" for line in data_lines([chunk({"content": c}) for c in contents])[:-1]
    )


def cut(data: AnyStr, places: Sequence[int]) -> list[AnyStr]:
    """Bytes or a text, cut at these places, each taken modulo the length."""
    edges = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


def whole(broken: str) -> str:
    """Surrogate pairs joined, each half of one replaced by U+FFFD: found by reading, not by encoding."""
    out: list[str] = []
    units = iter(enumerate(broken))
    for at, unit in units:
        following = broken[at + 1 : at + 2]
        if "\ud800" <= unit <= "\udbff" and "\udc00" <= following <= "\udfff":
            high, low = ord(unit) - 0xD800, ord(following) - 0xDC00
            out.append(chr(0x10000 + (high << 10) + low))
            next(units)
        else:
            out.append("\ufffd" if "\ud800" <= unit <= "\udfff" else unit)
    return "".join(out)
