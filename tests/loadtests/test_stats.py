"""Percentiles and intervals against their definitions, not against another library's choice of one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.stats import LEVEL, distribution, interval, interval_ranks, percentile

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)


@given(values, st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(
    found: list[float], percent: int
) -> None:
    ordered = np.sort(np.array(found))
    got = percentile(ordered, percent)
    assert got in found
    assert 100 * sum(value <= got for value in found) >= percent * len(found)
    assert 100 * sum(value < got for value in found) < percent * len(found)


@pytest.mark.parametrize("percent", [0, 101])
def test_no_such_percentile(percent: int) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(np.array([1.0]), percent)


def test_known_figures() -> None:
    found = distribution([float(n) for n in range(1, 101)])
    assert found is not None
    assert (found.mean, found.p50, found.p95, found.p99, found.max, found.n) == (
        50.5,
        50,
        95,
        99,
        100,
        100,
    )


@pytest.mark.parametrize(
    ("n", "p95", "p99"),
    [(19, False, False), (20, True, False), (99, True, False), (100, True, True)],
)
def test_high_percentiles_need_their_samples(n: int, p95: bool, p99: bool) -> None:
    found = distribution([1.0] * n)
    assert found is not None
    assert (found.p95 is not None, found.p99 is not None) == (p95, p99)


def test_the_tail_is_the_maximum_where_there_is_no_p99() -> None:
    few, many = distribution([1.0, 9.0]), distribution([1.0] * 199 + [9.0])
    assert few is not None
    assert many is not None
    assert (few.tail, many.tail) == (9.0, 1.0)


def test_nothing_has_no_distribution() -> None:
    assert distribution([]) is None
    assert interval([], 50) is None


@given(st.integers(1, 400), st.sampled_from([50, 95, 99]))
def test_an_interval_covers_at_least_its_level_and_each_end_is_needed(n: int, percent: int) -> None:
    ranks = interval_ranks(n, percent)
    outside = (1 - LEVEL) / 2
    if ranks is None:
        assert _below(n, percent, 0) > outside or 1 - _below(n, percent, n - 1) > outside
        return
    low, high = ranks
    assert _below(n, percent, high - 1) - _below(n, percent, low - 1) >= LEVEL - 1e-9
    assert _below(n, percent, low) > outside - 1e-9
    assert 1 - _below(n, percent, high - 2) > outside - 1e-9


def _below(n: int, percent: int, k: int) -> float:
    """P(B <= k), exactly, for a binomial B."""
    ways = (math.comb(n, i) * percent**i * (100 - percent) ** (n - i) for i in range(k + 1))
    return float(sum(ways) / 100**n)


def test_a_p99_has_an_interval_only_from_enough_samples() -> None:
    assert interval([float(n) for n in range(300)], 99) is None
    low_high = interval([float(n) for n in range(1000)], 99)
    assert low_high is not None
    assert low_high[0] < 989 < low_high[1]
