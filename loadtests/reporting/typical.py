"""The typical request of a run: the one whose times lie nearest to the medians, with its real stamps."""

from dataclasses import dataclass

import msgspec
import numpy as np

from loadtests.reporting.join import Row, StackRows
from loadtests.reporting.records import integers, is_empty
from loadtests.stats import Floats


@dataclass(frozen=True)
class Typical:
    """One request on both stacks; times are ms after its sending, shares are of all characters, 0 to 1."""

    request_id: str
    batch_ms: float
    chunk_ms: Floats
    chunk_share: Floats
    token_ms: Floats
    token_share: Floats

    @property
    def first_ms(self) -> float:
        return float(self.chunk_ms[0])

    @property
    def last_ms(self) -> float:
        return float(self.chunk_ms[-1])


def typical(legacy: StackRows, streaming: StackRows) -> Typical | None:
    """The typical request that both stacks answered, or None where there is none with chunk stamps."""
    batch = {row.sample.index: row for row in legacy.rows}
    known = [row for row in streaming.rows if row.sample.index in batch]
    chunked = [row for row in known if not is_empty(row.sample.chunk_us)]
    candidates = [row for row in chunked if _has_token_stamps(row)] or chunked
    if not candidates:
        return None
    row = candidates[_most_typical(candidates)]
    return _typical(row, batch[row.sample.index])


def _most_typical(candidates: list[Row]) -> int:
    """The one whose first content and total lie nearest to the medians, both relative to them."""
    first = np.array([row.first_content_ms for row in candidates], dtype=np.float64)
    total = np.array([row.total_ms for row in candidates], dtype=np.float64)
    distance = abs(first / np.median(first) - 1) + abs(total / np.median(total) - 1)
    return int(np.argmin(distance))


def _has_token_stamps(row: Row) -> bool:
    return row.upstream is not None and not is_empty(row.upstream.final.token_us)


def _typical(row: Row, batch: Row) -> Typical:
    token_ms, token_share = _tokens(row)
    return Typical(
        request_id=row.sample.request_id,
        batch_ms=batch.total_ms or 0.0,
        chunk_ms=integers(row.sample.chunk_us) / 1e3,
        chunk_share=_share(row.sample.chunk_chars),
        token_ms=token_ms,
        token_share=token_share,
    )


def _tokens(row: Row) -> tuple[Floats, Floats]:
    """When the simulator wrote each token, on the client's clock; two empty arrays without a timeline."""
    if row.upstream is None:
        return np.empty(0), np.empty(0)
    final = row.upstream.final
    offset_ms = (final.received_ns - row.sample.start_ns) / 1e6
    return offset_ms + integers(final.token_us) / 1e3, _share(final.token_chars)


def _share(raw: msgspec.Raw) -> Floats:
    """The share of all characters that is there after each of these pieces."""
    ends = np.cumsum(integers(raw), dtype=np.float64)
    return ends / max(1.0, ends[-1]) if len(ends) else ends
