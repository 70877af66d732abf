"""Samples of the load side joined to the simulator's timeline, one row a request, each stack for itself."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from loadtests.reporting.records import (
    KINDS,
    NOTHING,
    STACKS,
    Emission,
    Kind,
    RunFileError,
    Sample,
    StackName,
    integers,
    read_lines,
)
from loadtests.scenarios import Way
from loadtests.stats import Floats

STAMPS_OF = 1000
"""Token stamps are kept for about so many requests a stack: half a million lags are enough."""

Key = tuple[StackName, Way, str, str]


class Upstream(msgspec.Struct, frozen=True):
    """One request at the model, from the first attempt's arrival to the last attempt's last token."""

    received_ns: int
    first_ns: int | None
    last_ns: int | None
    attempts: int
    final: Emission


class Row(msgspec.Struct, frozen=True):
    """One answered request; the upstream is None where no timeline was kept."""

    sample: Sample
    upstream: Upstream | None
    from_schedule: bool = False

    @property
    def asked_ns(self) -> int:
        """c0, or c_s in an open loop, where a request that leaves late has been waited for already."""
        return self.sample.scheduled_ns if self.from_schedule else self.sample.start_ns

    @property
    def first_byte_ms(self) -> float | None:
        """Until the head of the answer is at the client's socket."""
        return _ms(self.asked_ns, self.sample.headers_ns)

    @property
    def until_model_ms(self) -> float | None:
        """From the client's sending to the model's receiving: u0 - c0."""
        return _ms(self.asked_ns, self.upstream.received_ns) if self.upstream else None

    @property
    def after_first_ms(self) -> float | None:
        """From the model's first token to the client's first content: c1 - u1."""
        return _ms(self.upstream.first_ns, self.sample.first_ns) if self.upstream else None

    @property
    def after_last_ms(self) -> float | None:
        """From the model's last token to the client's last content: cN - uN."""
        return _ms(self.upstream.last_ns, self.sample.last_ns) if self.upstream else None

    @property
    def first_content_ms(self) -> float | None:
        """c1 - c0; for a batch answer nothing is usable before the end, so it is the total."""
        return _ms(self.asked_ns, self.sample.first_ns)

    @property
    def total_ms(self) -> float | None:
        """The whole answer: cN - c0."""
        return _ms(self.asked_ns, self.sample.last_ns)

    @property
    def upstream_first_ms(self) -> float | None:
        """The model's own time to first token: u1 - u0."""
        return _ms(self.upstream.received_ns, self.upstream.first_ns) if self.upstream else None

    @property
    def upstream_generation_ms(self) -> float | None:
        """From the model's first token to its last: uN - u1."""
        return _ms(self.upstream.first_ns, self.upstream.last_ns) if self.upstream else None

    @property
    def upstream_total_ms(self) -> float | None:
        """All of the model's time: uN - u0."""
        return _ms(self.upstream.received_ns, self.upstream.last_ns) if self.upstream else None

    @property
    def first_chunk_delay_ms(self) -> float | None:
        """What the stack adds to the model's own time to first token: (c1 - c0) - (u1 - u0)."""
        return _difference(self.first_content_ms, self.upstream_first_ms)

    @property
    def api_overhead_ms(self) -> float | None:
        """What the stack adds in all: (cN - c0) - (uN - u0)."""
        return _difference(self.total_ms, self.upstream_total_ms)


@dataclass(frozen=True)
class StackRows:
    """All requests of one stack, all of one kind: `rows` the answered ones, `failed` the others."""

    name: StackName
    kind: Kind
    rows: list[Row]
    failed: list[Sample]

    @property
    def requests(self) -> int:
        return len(self.rows) + len(self.failed)

    @property
    def distinct(self) -> int:
        """How many different requests of the corpus were sent."""
        indexes = {row.sample.index for row in self.rows}
        return len(indexes | {sample.index for sample in self.failed})

    @property
    def retried(self) -> int:
        """How many answers took more than one upstream request."""
        return sum(row.upstream is not None and row.upstream.attempts > 1 for row in self.rows)

    @property
    def unmatched(self) -> int:
        """How many answers have no complete entry in the timeline."""
        return sum(row.api_overhead_ms is None for row in self.rows)

    @property
    def tokens(self) -> int | None:
        """Completion tokens of all answers, or None when the endpoint does not report them."""
        counts = [row.sample.completion_tokens for row in self.rows]
        return sum(n for n in counts if n is not None) if counts and None not in counts else None

    def milliseconds(self, name: str) -> Floats:
        """One property of every row, as far as it is known."""
        values = (getattr(row, name) for row in self.rows)
        return np.array([value for value in values if value is not None], dtype=np.float64)

    def dispatch_delays_ms(self) -> Floats:
        """How late each request was sent: c0 - c_s."""
        samples = [*(row.sample for row in self.rows), *self.failed]
        return np.array([(s.start_ns - s.scheduled_ns) / 1e6 for s in samples], dtype=np.float64)

    def inter_chunk_ms(self) -> Floats:
        """The gaps between the content chunks of each answer, all answers together."""
        gaps = [np.diff(integers(row.sample.chunk_us)) for row in self.rows]
        return np.concatenate(gaps) / 1e3 if gaps else np.empty(0)

    def relay_lags_ms(self) -> Floats:
        """c_i - u_i of every token of the rows whose token stamps were kept."""
        lags = [relay_lag_ms(row) for row in self.rows]
        return np.concatenate(lags) if lags else np.empty(0)


def relay_lag_ms(row: Row) -> Floats:
    """For each token: arrival of the chunk that completed it less the moment the simulator wrote it.

    The chunk is found by counting characters; tokens after the last character that arrived are left out.
    """
    if row.upstream is None:
        return np.empty(0)
    final, sample = row.upstream.final, row.sample
    written = final.received_ns - sample.start_ns + integers(final.token_us) * 1000
    token_ends = np.cumsum(integers(final.token_chars))
    chunk_ends = np.cumsum(integers(sample.chunk_chars))
    carrier = np.searchsorted(chunk_ends, token_ends)
    known = carrier < len(chunk_ends)
    arrived = integers(sample.chunk_us) * 1000
    lags: Floats = (arrived[carrier[known]] - written[known]) / 1e6
    return lags


def read_stacks(
    out: Path, *, open_loop: bool = False, way: Way = "direct"
) -> tuple[dict[StackName, StackRows], bool]:
    """Every stack of a run directory as it was reached by one way, and whether a timeline was there.

    Ways are never pooled. Raises RunFileError when a file is broken.
    """
    samples = [one for one in read_lines(out / "samples.jsonl", Sample) if one.way == way]
    timeline = out / "timeline.jsonl"
    known = timeline.exists()
    emissions = read_lines(timeline, Emission) if known else iter(())
    upstreams = _upstreams(emissions, samples)
    return {name: _stack(name, samples, upstreams, open_loop) for name in STACKS}, known


def _stack(
    name: StackName, samples: list[Sample], upstreams: dict[Key, Upstream], open_loop: bool
) -> StackRows:
    mine = [sample for sample in samples if sample.stack == name]
    kinds = {sample.kind for sample in mine}
    if len(kinds) > 1:
        raise RunFileError(
            f"samples.jsonl: {name} mixes batch and stream answers; they are never pooled"
        )
    kind = kinds.pop() if kinds else KINDS[name]
    rows = [Row(sample, upstreams.get(_key(sample)), open_loop) for sample in mine if sample.ok]
    return StackRows(name, kind, rows, [sample for sample in mine if not sample.ok])


def _upstreams(emissions: Iterable[Emission], samples: list[Sample]) -> dict[Key, Upstream]:
    stride = max(1, len(samples) // (len(STACKS) * STAMPS_OF))
    stamped = {_key(sample): sample.index % stride == 0 for sample in samples}
    attempts: defaultdict[Key, list[Emission]] = defaultdict(list)
    for emission in emissions:
        key = _key(emission)
        if key in stamped:
            attempts[key].append(emission if stamped[key] else _without_stamps(emission))
    return {key: span(tries) for key, tries in attempts.items()}


def span(attempts: list[Emission]) -> Upstream:
    """One request of several attempts: the whole span is the model's, the last attempt answered."""
    final = max(attempts, key=lambda attempt: attempt.received_ns)
    received = min(attempt.received_ns for attempt in attempts)
    return Upstream(received, final.first_ns, final.last_ns, len(attempts), final)


def _without_stamps(emission: Emission) -> Emission:
    return msgspec.structs.replace(emission, token_us=NOTHING, token_chars=NOTHING)


def _key(record: Sample | Emission) -> Key:
    return record.stack, record.way, record.phase, record.request_id


def _ms(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / 1e6


def _difference(whole: float | None, part: float | None) -> float | None:
    return None if whole is None or part is None else whole - part
