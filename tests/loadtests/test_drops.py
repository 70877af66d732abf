"""Silent stretches behind an idle timeout: how long they are, what is counted, and the command from outside."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

from loadtests.idle import silences
from loadtests.idle.side import Times, share_had, side
from loadtests.idle.sides import AFTER, BEFORE
from loadtests.reporting.idle_claims import Drops, b6
from loadtests.streams import Taken
from tests.loadtests.commands import interrupted, refused, started, told

SECOND = 1_000_000_000
TIMES = Times(idle_s=60, heartbeat_s=15, scale=10)
DELTA = b'event: delta\ndata: {"text":"1234"}\n\n'
DONE = b"event: done\ndata: {}\n\n"
FAILURE = b"event: failure\ndata: {}\n\n"
PING = b": ping\n\n"
SMALL = ("--requests", "60", "--rate", "60", "--scale", "30", "--seed", "137")
"""Of these 60 silences two are longer than the idle timeout, and both by more than ten seconds."""


def test_a_seed_is_a_day() -> None:
    assert silences.drawn(50, 7) == silences.drawn(50, 7)
    assert silences.drawn(50, 7) != silences.drawn(50, 8)


def test_silences_go_through_the_points_that_are_stated() -> None:
    cuts = quantiles(silences.drawn(40_000, 1), n=20)
    assert cuts[9] == pytest.approx(silences.MEDIAN_S, rel=0.03)
    assert cuts[18] == pytest.approx(silences.MOST_S, rel=0.05)
    assert silences.share_beyond(silences.MOST_S) == pytest.approx(1 - silences.MOST)
    beyond = sum(one > 60 for one in silences.drawn(40_000, 1)) / 40_000
    assert beyond == pytest.approx(silences.share_beyond(60), rel=0.2)


def _taken(number: int, *reads: tuple[float, bytes], ended_s: float, trouble: str = "") -> Taken:
    """Asked at 0; the reads at seconds."""
    stamped = [(round(at_s * SECOND), data) for at_s, data in reads]
    return Taken(f"idle-{number}", 0, 200, {}, stamped, round(ended_s * SECOND), trouble)


def test_what_became_of_each_answer_is_told_apart() -> None:
    taken = [
        _taken(0, (0.1, DELTA), (2.1, DELTA + DONE), ended_s=2.1),
        _taken(1, (0.5, DELTA), ended_s=6.5, trouble="broken off"),
        _taken(2, (0.1, DELTA), ended_s=3.1, trouble="broken off"),
        _taken(3, (0.1, DELTA), (1.6, PING), (3.1, PING + FAILURE), ended_s=3.1),
        Taken("idle-4"),
        _taken(5, (0.1, DELTA), (5.1, DELTA + DONE), ended_s=5.1, trouble="broken off"),
    ]
    found = side(taken, [20.0, 70.0, 30.0, 130.0, 5.0, 70.0], TIMES)
    assert (found.answers, found.whole, found.dropped, found.failed) == (6, 1, 1, 4)
    assert [(one.answers, one.dropped) for one in found.sizes] == [
        (1, 0), (2, 0), (0, 0), (2, 1), (1, 0)
    ]  # fmt: skip  # a row of the table in a line
    assert found.waited_s is not None
    assert (found.waited_s.p50, found.longest_quiet_s, found.heartbeats) == (60, 60, 2)


def test_what_a_reader_had_is_a_share_of_the_whole_text() -> None:
    broken = [
        _taken(1, (0.1, DELTA), ended_s=6, trouble="broken off"),
        _taken(2, (0.1, DELTA + DONE), ended_s=1),
    ]
    whole = [_taken(1, (0.1, DELTA), (7.0, 3 * DELTA + DONE), ended_s=7)]
    found = share_had(broken, whole)
    assert found is not None
    assert (found.p50, found.n) == (0.25, 1)
    assert share_had([], whole) is None


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [(20, 0, "reproduced"), (20, 1, "not reproduced"), (0, 0, "not reproduced")],
)
def test_b6_is_judged_by_what_heartbeats_change(before: int, after: int, verdict: str) -> None:
    claim = b6(Drops(2_000, before, after, 0.01))
    assert claim.verdict == verdict
    assert f"{5 * before} → {5 * after} a day" in claim.measured
    assert "when 12% of the answers" in claim.measured


Ended = tuple[int, str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ended]]:
    """The command and its mutant, at the same time: status, what was printed, errors, summary."""
    given = {"": (), "no-heartbeat": ("--mutant", "no-heartbeat")}
    folders = {name: tmp_path_factory.mktemp("drops") for name in given}
    running = {
        name: started("drops", *SMALL, *options, "--out", str(folders[name]))
        for name, options in given.items()
    }
    try:
        ended = {}
        for name, run in running.items():
            printed, errors = run.communicate(timeout=100)
            path = folders[name] / "summary.json"
            assert path.exists(), errors
            ended[name] = (run.returncode, printed, errors, json.loads(path.read_bytes()))
        yield ended
    finally:
        for run in running.values():
            run.kill()


def test_heartbeats_keep_what_is_dropped_without_them(runs: dict[str, Ended]) -> None:
    status, printed, errors, summary = runs[""]
    assert (status, errors, summary["holds"]) == (0, "", True)
    before, after = summary["sides"][BEFORE], summary["sides"][AFTER]
    assert (before["dropped"], before["whole"], before["failed"]) == (2, 58, 0)
    assert (after["dropped"], after["whole"], after["failed"]) == (0, 60, 0)
    assert before["sizes"][3] == {"above_s": 60, "most_s": 120, "answers": 2, "dropped": 2}
    assert (before["heartbeats"], after["heartbeats"] > 0) == (0, True)
    assert after["longest_quiet_s"] < before["longest_quiet_s"]
    assert before["waited_s"]["n"] == summary["dropped_had_share"]["n"] == 2
    assert [(one["id"], one["verdict"]) for one in summary["claims"]] == [("B6", "reproduced")]
    assert "B6, reproduced" in printed


def test_without_any_heartbeat_it_does_not_hold_and_says_so(runs: dict[str, Ended]) -> None:
    status, _, errors, summary = runs["no-heartbeat"]
    assert (status, summary["holds"]) == (1, False)
    assert summary["failures"] == ["2 of 60 answers were dropped with heartbeats"]
    assert summary["failures"][0] in errors
    assert [one["verdict"] for one in summary["claims"]] == ["not reproduced"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--requests", "0"), "REQUESTS=0"),
        (("--rate", "nan"), "RATE=nan"),
        (("--seed", "x"), "SEED=x"),
        (("--scale", "0.5"), "SCALE=0.5"),
        (("--mutant", "deaf"), "MUTANT=deaf"),
    ],
)
def test_a_bad_option_is_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused("drops", options, said, tmp_path, capsys)


def test_an_interrupted_day_stops_what_it_started(tmp_path: Path) -> None:
    run = started("drops", "--requests", "5000", "--rate", "50", "--out", str(tmp_path))
    interrupted(run, told("both sides are up"), tmp_path, 5)
