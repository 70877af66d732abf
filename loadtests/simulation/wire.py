"""Bytes of the OpenAI chat-completions format: pre-built frames in chunked transfer, bodies, and HTTP heads."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from loadtests.simulation.vocabulary import json_bodies, longest_body

CREATED = 1_760_000_000
"""The constant `created` of every answer, so that answers can be compared byte for byte."""

DONE = b"e\r\ndata: [DONE]\n\n\r\n"
COMMENT = b"e\r\n: processing\n\n\r\n"
END_OF_BODY = b"0\r\n\r\n"
_CHUNK_END = b'"},"finish_reason":null}]}\n\n\r\n'
_EVENT_END = len(_CHUNK_END) - len(b"\r\n")


def chunk(payload: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112, section 7.1); an empty payload would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def encode(value: object) -> bytes:
    """A JSON body."""
    return msgspec.json.encode(value)


def event(value: object) -> bytes:
    """A `data:` event in a chunk."""
    return chunk(b"data: " + msgspec.json.encode(value) + b"\n\n")


def head(status: int, headers: Mapping[str, str], length: int | None) -> bytes:
    """Status line and headers; without a length the body is chunked."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{fields}{size}\r\n\r\n".encode(
        "latin-1"
    )


def failure(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """OpenAI's error body."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def usage(prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }


def models(names: Sequence[str]) -> dict[str, Any]:
    """The body of GET /v1/models."""
    rows = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "simulator"}
        for name in names
    ]
    return {"object": "list", "data": rows}


def completion(
    answer_id: str, model: str, text: str, finish_reason: str, billed: dict[str, Any]
) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": answer_id,
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [choice],
        "usage": billed,
    }


class Frames:
    """The events of one streamed answer; everything but the text of a token is built once."""

    def __init__(self, answer_id: str, model: str) -> None:
        self._top = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": model,
        }
        opening = msgspec.json.encode(self._top)[:-1]
        self._head = b"data: " + opening + b',"choices":[{"index":0,"delta":{"content":"'
        size = len(self._head) + _EVENT_END
        self._bodies = json_bodies()
        self._heads = [
            b"%x\r\n%b" % (size + extra, self._head) for extra in range(longest_body() + 1)
        ]

    def token(self, piece: str) -> bytes:
        """One token of the vocabulary; this is the hot path."""
        body = self._bodies[piece]
        return self._heads[len(body)] + body + _CHUNK_END

    def role(self) -> bytes:
        """The first event: who speaks, and no text."""
        return self._choice({"role": "assistant", "content": ""}, None)

    def finish(self, reason: str) -> bytes:
        return self._choice({}, reason)

    def usage(self, billed: dict[str, Any]) -> bytes:
        """The event with the usage and an empty list of choices."""
        return event({**self._top, "choices": [], "usage": billed})

    def no_choices(self) -> bytes:
        return event({**self._top, "choices": []})

    def truncated(self) -> bytes:
        """A token's event that breaks off in the middle of its JSON."""
        return chunk(self._head.removesuffix(b'"content":"') + b"\n\n")

    def _choice(self, delta: dict[str, Any], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return event({**self._top, "choices": [choice]})
