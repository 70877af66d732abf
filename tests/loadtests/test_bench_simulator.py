"""The bench counts what the simulator really wrote, and a target that is missed is a failure."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests import bench_simulator
from loadtests.__main__ import main
from loadtests.bench_simulator import Figures

GOOD = Figures(
    streams=2,
    profile="article",
    answers=4,
    tokens=2000,
    seconds=10.0,
    cpu_s=0.018,
    deadline_miss_ms={"mean": 0.5, "p50": 0.5, "p95": 0.9, "p99": 1.1, "max": 3.0, "n": 2000},
)


def test_figures_within_the_targets_hold() -> None:
    assert GOOD.failures == []
    assert GOOD.summary()["holds"] is True
    assert GOOD.cpu_us_per_token == pytest.approx(9.0)


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        (replace(GOOD, cpu_s=0.0202), "10.1 us of CPU"),
        (replace(GOOD, deadline_miss_ms={**GOOD.deadline_miss_ms, "p99": 2.01}), "2.01 ms"),
        (replace(GOOD, tokens=1999), "1999 tokens were written, 2000 were planned"),
    ],
    ids=["cpu", "deadlines", "lost tokens"],
)
def test_each_target_can_fail(figures: Figures, says: str) -> None:
    (failure,) = figures.failures
    assert says in failure
    assert figures.summary()["holds"] is False


def test_a_run_is_counted_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_simulator, "CPU_US_PER_TOKEN", 0.0)
    options = ["--profile", "instant", "--streams", "3", "--rounds", "2", "--ramp", "0"]
    status = main(["bench-simulator", *options, "--out", str(tmp_path / "new" / "folder")])
    summary = json.loads((tmp_path / "new" / "folder" / "summary.json").read_text())
    assert (summary["answers"], summary["tokens"]) == (6, 3000)
    assert summary["cpu_us_per_token"] > 0
    assert (status, summary["holds"]) == (1, False)
    assert "us of CPU a token, the target is at most 0" in capsys.readouterr().err
