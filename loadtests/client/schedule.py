"""When which request is sent, by whom: pure, and the same in every load process."""

import random
from collections.abc import Iterator

NS_PER_S = 1_000_000_000


def poisson_offsets_ns(seed: int, rate: float, count: int) -> Iterator[int]:
    """Offsets of `count` arrivals from the start, in nanoseconds: a Poisson process of `rate` a second."""
    rng = random.Random(f"schedule {seed}")
    offset_s = 0.0
    for _ in range(count):
        offset_s += rng.expovariate(rate)
        yield round(offset_s * NS_PER_S)


def dealt(first: int, count: int, worker: int, workers: int) -> range:
    """The request indices of one worker: every `workers`-th, so that together they are each index once."""
    return range(first + worker, first + count, workers)


def stagger_ns(user: int, users: int, stagger_s: float) -> int:
    """When a user of a closed loop starts, in nanoseconds after the first one: spread evenly."""
    return round(user / users * stagger_s * NS_PER_S)
