"""What the simulator remembers: one entry an ended request, and how late its tokens were."""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice

import msgspec

KEPT = 20_000
"""Ended requests kept until they are asked for; the oldest beyond it are dropped: a demo may run for days."""

_LINES_A_SLICE = 64
_BUCKET_NS = 10_000
_BUCKETS = 100_000
_SPAN_NS = _BUCKETS * _BUCKET_NS


@dataclass(slots=True)
class Entry:
    """One ended request; stamps are `time.monotonic_ns()`, `token_us` counts from `received_ns`."""

    request_id: str
    stream: bool
    received_ns: int
    status: int = 200
    first_ns: int | None = None
    last_ns: int | None = None
    queued_ns: int = 0
    tokens: int = 0
    planned: int = 0
    tokens_after_disconnect: int = 0
    disconnected_ns: int | None = None
    token_us: "array[int]" = field(default_factory=lambda: array("Q"))
    token_chars: bytes = b""
    prompt_tokens: int = 0
    cached_tokens: int = 0

    def line(self) -> bytes:
        """The entry as one line of JSON."""
        row = {name: getattr(self, name) for name in self.__slots__}
        row["token_us"] = self.token_us.tolist()
        row["token_chars"] = list(self.token_chars)
        return msgspec.json.encode(row) + b"\n"


class Timeline:
    """Entries since the last call of `drain`."""

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[Entry] = deque(maxlen=kept)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)

    def drain(self) -> Iterator[bytes]:
        """Forgets the entries and yields them as NDJSON, some lines at a time."""
        entries, self._entries = self._entries, deque(maxlen=self._entries.maxlen)
        rest = iter(entries)
        while batch := list(islice(rest, _LINES_A_SLICE)):
            yield b"".join(entry.line() for entry in batch)


class Distribution(msgspec.Struct, frozen=True):
    """Milliseconds; `n` is the number of observations."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float
    n: int


class Lateness:
    """Deadline misses in buckets of 10 us up to a second: constant memory, however long the simulator runs."""

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS + 1)
        self._n = self._sum_ns = self._max_ns = 0

    def add(self, late_ns: Sequence[int]) -> None:
        """Observations in nanoseconds, none of them negative."""
        if late_ns:
            counts = self._counts
            for late in late_ns:
                counts[late // _BUCKET_NS if late < _SPAN_NS else _BUCKETS] += 1
            self._n += len(late_ns)
            self._sum_ns += sum(late_ns)
            self._max_ns = max(self._max_ns, *late_ns)

    def distribution(self) -> Distribution:
        """Percentiles are the upper edge of their bucket, at most the maximum; all 0 without observations."""
        if not self._n:
            return Distribution(0.0, 0.0, 0.0, 0.0, 0.0, 0)
        cumulative = list(accumulate(self._counts))
        p50, p95, p99 = (self._percentile(cumulative, share) for share in (0.50, 0.95, 0.99))
        return Distribution(
            self._sum_ns / self._n / 1e6, p50, p95, p99, self._max_ns / 1e6, self._n
        )

    def _percentile(self, cumulative: list[int], share: float) -> float:
        bucket = bisect_left(cumulative, share * self._n)
        edge = self._max_ns if bucket == _BUCKETS else (bucket + 1) * _BUCKET_NS
        return min(edge, self._max_ns) / 1e6


@dataclass(slots=True)
class Counters:
    """What the simulator has done since it started or was last reset."""

    requests: int = 0
    tokens_written: int = 0
    tokens_after_disconnect: int = 0
    lateness: Lateness = field(default_factory=Lateness)

    def count(self, entry: Entry, late_ns: Sequence[int]) -> None:
        """Adds an ended request; `late_ns` has a value for each token that the reader did not hold up."""
        self.requests += 1
        self.lateness.add(late_ns)
        self.tokens_written += entry.tokens
        self.tokens_after_disconnect += entry.tokens_after_disconnect
