"""The timeline is given away once, and lateness is counted to ten microseconds."""

import json
import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.simulation.timeline import Distribution, Entry, Lateness, Timeline


def test_entries_are_lines_of_json_and_forgotten() -> None:
    timeline = Timeline()
    timeline.add(
        Entry("r7-1", True, 5, tokens=2, token_us=array("Q", [7, 9]), token_chars=b"\x03\x04")
    )
    lines = b"".join(timeline.drain()).splitlines()
    row = json.loads(lines[0])
    assert len(lines) == 1
    assert row["request_id"] == "r7-1"
    assert (row["token_us"], row["token_chars"]) == ([7, 9], [3, 4])
    assert row["disconnected_ns"] is None
    assert b"".join(timeline.drain()) == b""


def test_the_oldest_entries_make_room() -> None:
    timeline = Timeline(kept=100)
    for number in range(130):
        timeline.add(Entry(str(number), True, number))
    kept = [json.loads(line)["request_id"] for line in b"".join(timeline.drain()).splitlines()]
    assert kept == [str(number) for number in range(30, 130)]


@given(st.lists(st.integers(0, 2_000_000_000), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_observations(late_ns: list[int]) -> None:
    lateness = Lateness()
    lateness.add(late_ns)
    measured = lateness.distribution()
    ordered = sorted(late_ns)
    assert (measured.n, measured.max) == (len(late_ns), max(late_ns) / 1e6)
    assert measured.mean == pytest.approx(sum(late_ns) / len(late_ns) / 1e6)
    for share, value in ((0.5, measured.p50), (0.95, measured.p95), (0.99, measured.p99)):
        exact = ordered[math.ceil(share * len(ordered)) - 1] / 1e6
        assert exact <= value
        assert value - exact <= 0.01 or exact >= 1000


def test_nothing_observed() -> None:
    assert Lateness().distribution() == Distribution(0.0, 0.0, 0.0, 0.0, 0.0, 0)
