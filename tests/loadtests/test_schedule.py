"""Who sends what, and when."""

import statistics
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loadtests.client.schedule import dealt, poisson_offsets_ns, stagger_ns


@given(st.integers(0, 50), st.integers(0, 200), st.integers(1, 9))
def test_every_index_is_dealt_once(first: int, count: int, workers: int) -> None:
    hands = [dealt(first, count, worker, workers) for worker in range(workers)]
    assert sorted(index for hand in hands for index in hand) == list(range(first, first + count))
    assert max(map(len, hands)) - min(map(len, hands)) <= 1


def test_arrivals_are_a_poisson_process() -> None:
    offsets = list(poisson_offsets_ns(7, 50.0, 20_000))
    gaps = [(after - before) / 1e9 for before, after in pairwise([0, *offsets])]
    assert min(gaps) >= 0
    assert abs(statistics.mean(gaps) - 0.02) < 0.0005
    # Of an exponential distribution the standard deviation is the mean.
    assert abs(statistics.stdev(gaps) - 0.02) < 0.0005


def test_a_seed_gives_the_same_arrivals() -> None:
    assert list(poisson_offsets_ns(7, 5.0, 50)) == list(poisson_offsets_ns(7, 5.0, 50))
    assert list(poisson_offsets_ns(7, 5.0, 50)) == list(poisson_offsets_ns(7, 5.0, 90))[:50]
    assert list(poisson_offsets_ns(7, 5.0, 50)) != list(poisson_offsets_ns(8, 5.0, 50))


def test_starts_are_spread_evenly() -> None:
    assert [stagger_ns(user, 4, 2.0) for user in range(4)] == [0, 5 * 10**8, 10**9, 15 * 10**8]
    assert [stagger_ns(user, 4, 0.0) for user in range(4)] == [0] * 4
