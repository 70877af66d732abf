"""One record an answer, written off the request path: JSON lines, and rows of a SQLite database."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

import msgspec

Outcome = Literal[
    "finished", "failed", "cancelled", "timed_out", "over_budget", "slow_reader", "drained"
]
Kind = Literal["batch", "stream"]


class Record(msgspec.Struct, frozen=True):
    at: str
    request_id: str
    stack: str
    user: str
    model: str
    kind: Kind
    outcome: Outcome
    code: str | None
    tokens: int
    first_token_ms: float | None
    duration_ms: float
    bytes: int


class StreamLog:
    def __init__(self, stack: str, path: str = "-", sqlite: Path | None = None) -> None:
        self.stack, self._path = stack, path

    def begin(self, *, request_id: str, user: str, model: str, kind: Kind) -> "Entry":
        return Entry(self, request_id, user, model, kind)

    def write(self, record: Record) -> None:
        if not self._path:
            return
        line = msgspec.json.encode(record) + b"\n"
        if self._path == "-":
            os.write(1, line)
        else:
            with open(self._path, "ab") as f:
                f.write(line)

    def close(self) -> None: ...


class Entry:
    def __init__(self, log: StreamLog, request_id: str, user: str, model: str, kind: Kind) -> None:
        self._log, self.request_id, self._user, self._model, self._kind = (
            log,
            request_id,
            user,
            model,
            kind,
        )
        self._at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._start = time.monotonic()
        self._first: float | None = None
        self._ended = False
        self.tokens = 0
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.end("finished")
        else:
            self.end(getattr(error, "outcome", "failed"), getattr(error, "code", "internal"))

    def first_token(self) -> None:
        if self._first is None:
            self._first = round((time.monotonic() - self._start) * 1000, 3)

    def end(self, outcome: Outcome, code: str | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        self._log.write(
            Record(
                self._at,
                self.request_id,
                self._log.stack,
                self._user,
                self._model,
                self._kind,
                outcome,
                code,
                self.tokens,
                self._first,
                round((time.monotonic() - self._start) * 1000, 3),
                self.bytes,
            )
        )
