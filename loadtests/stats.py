"""Exact percentiles of raw samples, and the intervals that belong beside them.

A percentile here is the nearest-rank one: a value that was really measured, never an interpolation between two.
"""

import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

P95_NEEDS = 20
"""Below this many samples the 95th percentile is the maximum under another name, and is left out."""
P99_NEEDS = 100
"""Likewise for the 99th."""
LEVEL = 0.95
"""Confidence of every interval."""


class Distribution(msgspec.Struct, frozen=True):
    """Milliseconds, as in every summary.json; `p95` and `p99` are None from too few samples."""

    mean: float
    p50: float
    p95: float | None
    p99: float | None
    max: float
    n: int

    @property
    def tail(self) -> float:
        """The 99th percentile, or the maximum where there are too few samples for one."""
        return self.max if self.p99 is None else self.p99


def distribution(values: Sequence[float] | Floats) -> Distribution | None:
    """Mean, nearest-rank percentiles and maximum, to three decimals; None when there is no value."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if n == 0:
        return None
    return Distribution(
        mean=round(float(ordered.mean()), 3),
        p50=round(percentile(ordered, 50), 3),
        p95=round(percentile(ordered, 95), 3) if n >= P95_NEEDS else None,
        p99=round(percentile(ordered, 99), 3) if n >= P99_NEEDS else None,
        max=round(float(ordered[-1]), 3),
        n=n,
    )


def percentile(ordered: Floats, percent: int) -> float:
    """The smallest value that at least `percent` % of the ordered values do not exceed (nearest rank)."""
    if len(ordered) == 0 or not 0 < percent <= 100:
        raise ValueError(f"no {percent}th percentile of {len(ordered)} values")
    rank = -(-percent * len(ordered) // 100)
    return float(ordered[rank - 1])


def interval(values: Sequence[float] | Floats, percent: int) -> tuple[float, float] | None:
    """The order-statistics interval of a percentile at `LEVEL`, free of any assumption on the shape.

    The number of samples below the true percentile is binomial, so two ranks enclose it with at
    least the level asked for (David & Nagaraja, Order Statistics, 7.1). None when there are too
    few samples for an end to exist.
    It takes the samples as independent; users of one closed loop are only nearly so.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    ranks = interval_ranks(len(ordered), percent)
    if ranks is None:
        return None
    low, high = ranks
    return round(float(ordered[low - 1]), 3), round(float(ordered[high - 1]), 3)


def interval_ranks(n: int, percent: int) -> tuple[int, int] | None:
    """The two ranks, counted from 1, between which the percentile lies at `LEVEL`; None when one is outside."""
    outside = (1 - LEVEL) / 2
    low, high = 0, n + 1
    for k, below in _binomial_cdf(n, percent / 100):
        if below <= outside:
            low = k + 1
        if below >= 1 - outside:
            high = k + 1
            break
    return (low, high) if low >= 1 and high <= n else None


def _binomial_cdf(n: int, p: float) -> Iterator[tuple[int, float]]:
    """(k, P(B <= k)) for the k that matter: those within nine standard deviations of the mean."""
    reach = 9 * math.sqrt(n * p * (1 - p)) + 1
    total = 0.0
    for k in range(max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach)) + 1):
        total += math.exp(_log_choose(n, k) + k * math.log(p) + (n - k) * math.log1p(-p))
        yield k, total


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
