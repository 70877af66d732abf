"""One sample a request, as the load side saw it, in a JSONL file that an interruption leaves readable."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from loadtests.scenarios import Kind, Way

_BLOCK = 64 * 1024


class SamplesError(Exception):
    """A samples file cannot be read; the message names the file and the line."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One replayed request; times are monotonic nanoseconds.

    `headers_ns` is the socket read that brought the head of the answer, `first_ns` and `last_ns` are those
    that brought the first and the last content; for a batch answer both are the read that completed the body.
    `chunk_us` are offsets from `start_ns`, one for each content chunk, and `chunk_chars` the characters in
    each. `error` is a short code, None for a whole answer.
    """

    stack: str
    phase: str
    index: int
    request_id: str
    kind: Kind
    status: int
    error: str | None
    scheduled_ns: int
    start_ns: int
    headers_ns: int | None
    first_ns: int | None
    last_ns: int | None
    text_sha: str | None
    chars: int
    finish_reason: str | None
    completion_tokens: int | None
    chunk_us: list[int]
    chunk_chars: list[int]
    worker: int
    way: Way = "direct"


class Stalls(msgspec.Struct, frozen=True, kw_only=True):
    """How late a 10 ms ticker in one load process came, in microseconds a tick."""

    stack: str
    phase: str
    worker: int
    lateness_us: list[int]
    way: Way = "direct"


def text_sha(text: str, finish_reason: str | None) -> str:
    """First 16 hex digits of the SHA-256 of an answer: its text and its finish reason."""
    whole = f"{text}\0{finish_reason or ''}".encode(errors="surrogatepass")
    return hashlib.sha256(whole).hexdigest()[:16]


class LineFile:
    """Appends whole lines: each call is one write, and a last line that was cut off before is removed first."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._descriptor, _whole_length(self._descriptor))

    def append(self, lines: bytes) -> None:
        """Writes lines that each end with a newline."""
        left = memoryview(lines)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def encode_line(record: Sample | Stalls) -> bytes:
    """One line of JSON with its newline."""
    return msgspec.json.encode(record) + b"\n"


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a file, one at a time; raises SamplesError for a line that is none."""
    decoder = msgspec.json.Decoder(Sample)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise SamplesError(f"{path}:{number}: {error}") from None


def _whole_length(descriptor: int) -> int:
    """Bytes up to and including the last newline."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
