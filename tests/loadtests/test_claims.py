"""Verdicts on A1-A6: each rule, both sides of its borders, and none of it from an invalid run."""

from dataclasses import replace
from typing import Any

import pytest

from loadtests.reporting.claims import Facts, verdicts
from loadtests.reporting.figures import Claim

COMPARE = Facts(
    valid=True,
    users=200,
    requests=10_000,
    errors=0,
    compared=10_000,
    identical=10_000,
    tokens=500,
    batch_total=7_606.0,
    batch_overhead=6.0,
    stream_first=1_203.0,
    stream_total=7_604.0,
    stream_overhead=4.0,
    first_chunk=3.0,
    first_chunk_tail=7.0,
    model_first=1_200.0,
    model_generation=6_400.0,
    model_total=7_600.0,
    handling_gain=0.06,
)
UNKNOWN: dict[str, Any] = {
    "batch_overhead": None,
    "stream_overhead": None,
    "first_chunk": None,
    "first_chunk_tail": None,
    "model_first": None,
    "model_generation": None,
    "model_total": None,
    "handling_gain": None,
    "tokens": None,
}


def claim(id: str, **changes: object) -> Claim:
    found = verdicts(replace(COMPARE, **changes))  # type: ignore[arg-type] # any field by name
    return next(claim for claim in found if claim.id == id)


def test_a_run_at_light_load() -> None:
    assert {claim.id: claim.verdict for claim in verdicts(COMPARE)} == {
        "A1": "not reproduced",
        "A2": "beaten",
        "A3": "shown impossible",
        "A4": "not reproduced",
        "A5": "reproduced",
        "A6": "not reproduced",
    }


@pytest.mark.parametrize(
    ("id", "changes", "verdict"),
    [
        ("A1", {"batch_total": 9_200.0, "batch_overhead": 1_600.0}, "reproduced"),
        ("A1", {"batch_total": 9_200.0, "model_first": 2_000.0}, "not reproduced"),
        ("A1", {"batch_total": 10_200.0}, "not reproduced"),
        ("A2", {"first_chunk": 107.0}, "beaten"),
        ("A2", {"first_chunk": 109.0}, "reproduced"),
        ("A2", {"first_chunk": 133.0}, "not reproduced"),
        ("A3", {"model_generation": 7_000.0}, "not reproduced"),
        ("A3", {"stream_total": 6_300.0}, "reproduced"),
        ("A3", {"model_total": 6_300.0, "stream_total": 5_000.0}, "beaten"),
        ("A3", {"model_total": 6_300.0}, "not reproduced"),
        ("A4", {"batch_overhead": 800.0, "stream_overhead": 100.0}, "beaten"),
        ("A4", {"batch_overhead": 800.0, "stream_overhead": 280.0}, "reproduced"),
        ("A4", {"batch_overhead": 800.0, "stream_overhead": 400.0}, "not reproduced"),
        ("A4", {"batch_overhead": 700.0, "stream_overhead": 1.0}, "not reproduced"),
        ("A5", {"requests": 9_999}, "not reproduced"),
        ("A5", {"identical": 9_999}, "not reproduced"),
        ("A5", {"errors": 1}, "not reproduced"),
        ("A5", {"tokens": 120}, "not reproduced"),
        ("A6", {"handling_gain": 0.45}, "beaten"),
        ("A6", {"handling_gain": 0.40}, "reproduced"),
        ("A6", {"handling_gain": 0.35}, "not reproduced"),
    ],
)
def test_each_rule(id: str, changes: dict[str, float], verdict: str) -> None:
    assert claim(id, **changes).verdict == verdict


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("A1", "7.61 s at 200 users: model 7.60 s, everything else 6.0 ms"),
        ("A2", "7.61 s → 1.20 s (\N{MINUS SIGN}84 %)"),
        ("A3", "the model alone takes 7.60 s"),
        ("A4", "6.0 ms → 4.0 ms at 200 users"),
        ("A5", "10,000 of 10,000 answers identical, 500 tokens"),
        ("A6", "+6 % requests a second"),
    ],
)
def test_the_measurement_stands_beside_the_verdict(id: str, words: str) -> None:
    assert words in claim(id).measured


def test_an_invalid_run_proves_nothing() -> None:
    for found in verdicts(replace(COMPARE, valid=False, handling_gain=0.4)):
        assert found.verdict == "not reproduced"
        assert found.measured.startswith("proves nothing, the run is invalid")


def test_what_was_not_measured_is_not_reproduced() -> None:
    for found in verdicts(replace(COMPARE, requests=300, **UNKNOWN)):
        assert found.verdict == "not reproduced"
        assert found.measured
