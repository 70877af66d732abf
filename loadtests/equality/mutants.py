"""The defects that parity must find: a proxy with one of them stands before the streaming stack."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from loadtests.equality.relay import Defect, Faithful, Head

KEY = "key-of-parity"
"""What the stacks of a run ask for, and what every request of the corpus has unless it says otherwise."""

EVENTS = "text/event-stream"
DELTA = re.compile(rb'(event: delta\ndata: {"text":".*?)[^" \\]+("}\n\n)')
AUTHORIZATION = re.compile(rb"\r\nauthorization:[^\r\n]*", re.IGNORECASE)


class Buffered(Faithful):
    """Holds a stream back until it is whole, as a proxy with buffering does."""

    def __init__(self) -> None:
        self._held = b""

    def body(self, piece: bytes, head: Head) -> bytes:
        if not head.content_type.startswith(EVENTS):
            return piece
        self._held += piece
        return b""

    def rest(self) -> bytes:
        return self._held


class DroppedToken(Faithful):
    """Loses the last word of a stream's second chunk, and nothing else."""

    _chunks = 0

    def body(self, piece: bytes, head: Head) -> bytes:
        if not head.content_type.startswith(EVENTS):
            return piece
        self._chunks += 1
        return DELTA.sub(rb"\1\2", piece, count=1) if self._chunks == 2 else piece


class ErrorBody(Faithful):
    """Changes the error body: `code` has another name."""

    def body(self, piece: bytes, head: Head) -> bytes:
        return piece.replace(b'"code":', b'"kind":', 1) if head.status >= 400 else piece


class MissingGuard(Faithful):
    """Lets everybody in: whatever key a request has, the stack sees a valid one."""

    def request(self, data: bytes) -> bytes:
        line, version, rest = data.partition(b" HTTP/1.1\r\n")
        if not version:
            return data
        valid = b"Authorization: Bearer " + KEY.encode() + b"\r\n"
        return line + version + valid + AUTHORIZATION.sub(b"", b"\r\n" + rest).removeprefix(b"\r\n")


MUTANTS: Mapping[str, type[Defect]] = MappingProxyType(
    {
        "buffered": Buffered,
        "dropped-token": DroppedToken,
        "error-body": ErrorBody,
        "missing-guard": MissingGuard,
    }
)
