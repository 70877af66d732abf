"""Verdicts on B1 and B2: each rule, both sides of its borders, and none of it from an invalid run."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.reporting.figures import Breakdown, Claim, Stages, Summary, WayFigures
from loadtests.reporting.production_claims import verdicts
from loadtests.reporting.summary import measure
from loadtests.stats import Distribution
from tests.loadtests.run_files import production_run


@dataclasses.dataclass(frozen=True)
class Medians:
    """What a run measured, in ms; what is None was not."""

    before: float = 9_107.0
    first_byte: float = 168.0
    painted: float | None = 186.0
    model: float = 9_100.0
    json: float | None = 0.01
    timeline: bool = True


def spread(value: float) -> Distribution:
    return Distribution(value, value, value, value, value, 100)


def figures(whole: float, model: float, medians: Medians) -> WayFigures:
    stages = Stages(spread(3.0), spread(model), spread(whole - model - 3.0))
    times = (spread(whole), spread(whole), spread(9_107.0))
    return WayFigures(100, 0, *times, stages if medians.timeline else None)


def breakdown(medians: Medians, **ways: Any) -> Breakdown:
    stacks = {
        "legacy_flask": figures(medians.before, medians.model, medians),
        "fastapi_app": figures(medians.first_byte, 164.0, medians),
    }
    painted = medians.painted and {
        "legacy_flask": spread(9_121.0),
        "fastapi_app": spread(medians.painted),
    }
    json = None if medians.json is None else spread(medians.json)
    by = "Chromium 140" if painted else None
    return msgspec.convert(
        {"ways": {"direct": stacks} | ways, "serialisation_ms": json}
        | {"visible_ms": painted, "visible_by": by},
        Breakdown,
        from_attributes=True,
    )


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return measure(production_run(tmp_path_factory.mktemp("run"))).summary


def claim(summary: Summary, id: str, **changes: Any) -> Claim:
    found = verdicts(summary, breakdown(Medians(**changes)))
    return next(one for one in found if one.id == id)


@pytest.mark.parametrize(
    ("id", "changes", "verdict"),
    [
        ("B1", {}, "reproduced"),
        ("B1", {"first_byte": 161.0, "painted": 188.0}, "beaten"),
        ("B1", {"first_byte": 161.0, "painted": 190.0}, "reproduced"),
        ("B1", {"first_byte": 199.0}, "not reproduced"),
        ("B1", {"painted": 232.0}, "not reproduced"),
        ("B1", {"painted": None}, "reproduced"),
        ("B1", {"before": 7_607.0}, "not reproduced"),
        ("B1", {"timeline": False}, "not reproduced"),
        ("B2", {}, "not reproduced"),
        ("B2", {"json": 180.0}, "reproduced"),
        ("B2", {"json": 161.0}, "not reproduced"),
        ("B2", {"json": 180.0, "model": 7_600.0}, "not reproduced"),
        ("B2", {"json": None}, "not reproduced"),
        ("B2", {"timeline": False}, "not reproduced"),
    ],
)
def test_each_rule(valid: Summary, id: str, changes: dict[str, Any], verdict: str) -> None:
    assert claim(valid, id, **changes).verdict == verdict


def test_the_measurement_stands_beside_the_verdict(valid: Summary) -> None:
    b1, b2 = claim(valid, "B1"), claim(valid, "B2")
    assert "direct: first byte 9,107 → 168 ms" in b1.measured
    assert "painted (Chromium 140) 9,121 → 186 ms" in b1.measured
    assert "164 ms are the simulated model's first token" in b1.measured
    assert "waiting for the model 9.10 s (99.9 %)" in b2.measured
    assert "no browser was asked" in claim(valid, "B1", painted=None).measured


def test_what_came_through_nginx_is_judged_where_it_is(valid: Summary) -> None:
    slow = {
        "legacy_flask": figures(9_107.0, 9_100.0, Medians()),
        "fastapi_app": figures(400.0, 164.0, Medians()),
    }
    b1, _ = verdicts(valid, breakdown(Medians(), nginx=slow))
    assert b1.verdict == "not reproduced"
    assert "through nginx: first byte 9,107 → 400 ms" in b1.measured


def test_an_invalid_run_proves_nothing(tmp_path: Path) -> None:
    summary = measure(production_run(tmp_path, interrupted=True)).summary
    assert [one.id for one in summary.claims] == ["B1", "B2"]
    for found in summary.claims:
        assert found.verdict == "not reproduced"
        assert found.measured.startswith("proves nothing, the run is invalid")
