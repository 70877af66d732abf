"""Impatient readers: who they are, what is counted of their visits, and the command from outside."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean, quantiles

import pytest

from loadtests.audience.generated import Generated
from loadtests.audience.patience import Habits, Reader, mean_paid, paid, population
from loadtests.audience.visits import Ending, Visit
from loadtests.profiles import ARTICLE
from loadtests.reporting.reader_claims import b4, b5
from loadtests.reporting.readership import Share, readership, share
from tests.loadtests.commands import interrupted, refused, started, told

SECOND = 1_000_000_000
READER = Reader(patience_s=5.0, words_a_minute=225.0, enough=0.5, glance=None)


def test_a_seed_is_a_population() -> None:
    assert population(Habits(), 50, 7) == population(Habits(), 50, 7)
    assert population(Habits(), 50, 7) != population(Habits(), 50, 8)


def test_patience_goes_through_the_points_of_the_literature() -> None:
    quarter, half, _ = quantiles((one.patience_s for one in population(Habits(), 20_000, 1)), n=4)
    assert quarter == pytest.approx(5.0, rel=0.05)
    assert half == pytest.approx(10.0, rel=0.05)


def test_most_read_between_175_and_300_words_a_minute() -> None:
    words = [one.words_a_minute for one in population(Habits(), 20_000, 1)]
    assert fmean(words) == pytest.approx(238, rel=0.01)
    assert 0.94 < fmean(175 <= each <= 300 for each in words) < 0.97


def test_who_leaves_at_a_glance_is_all_that_its_share_changes() -> None:
    calm, hasty = population(Habits(), 400, 7), population(Habits(early=0.5), 400, 7)
    assert {one.glance for one in calm} == {None}
    assert 160 < sum(one.glance is not None for one in hasty) < 240
    assert [replace(one, glance=None) for one in hasty] == calm


def test_the_time_to_read_enough() -> None:
    # 225 words a minute are 5 tokens a second: half of 500 takes 50 s.
    assert READER.stays_s(ARTICLE) == pytest.approx(50)
    assert READER.tokens_read(ARTICLE) == pytest.approx(250)
    glancing = replace(READER, glance=0.25)
    assert glancing.stays_s(ARTICLE) == pytest.approx(1.6)
    assert glancing.tokens_read(ARTICLE) == pytest.approx(8)


@pytest.mark.parametrize(
    ("reader", "tokens"),
    [
        (READER, 500),
        (replace(READER, glance=0.5), 250),
        (replace(READER, enough=0.0), 1),
        (replace(READER, patience_s=1.1), 0),
    ],
)
def test_what_a_stack_that_stops_at_once_pays_for(reader: Reader, tokens: int) -> None:
    assert paid(reader, ARTICLE) == tokens
    assert mean_paid([reader, replace(READER, patience_s=1.0)], ARTICLE) == tokens / 2


def test_a_share_has_wilsons_interval() -> None:
    half, none = share(5, 10), share(0, 10)
    assert half.low == pytest.approx(0.2366, abs=1e-4)
    assert half.high == pytest.approx(0.7634, abs=1e-4)
    assert none.low == 0.0
    assert none.high == pytest.approx(0.2775, abs=1e-4)


def _made(request_id: str, tokens: int, disconnected_ns: int | None, *, stamped: bool) -> Generated:
    """Ten tokens a second from the first second on, asked for at 0."""
    stamps = [1_000_000 + 100_000 * index for index in range(tokens)]
    return Generated(
        request_id=request_id,
        status=200,
        received_ns=0,
        first_ns=SECOND if tokens else None,
        last_ns=stamps[-1] * 1000 if tokens else None,
        tokens=tokens,
        tokens_after_disconnect=0,
        disconnected_ns=disconnected_ns,
        token_us=stamps if stamped else [],
    )


def _visit(request_id: str, ending: Ending, ended_s: float, shown_s: float | None = None) -> Visit:
    shown_ns = None if shown_s is None else round(shown_s * SECOND)
    return Visit(request_id, READER, 0, shown_ns, round(ended_s * SECOND), ending)


def test_visits_are_joined_to_what_was_made_for_them() -> None:
    visits = [
        _visit("a", "abandoned", 0.5),
        _visit("b", "left", 2.0, shown_s=1.0),
        _visit("c", "finished", 7.0, shown_s=1.0),
        _visit("d", "failed", 7.0),
    ]
    made = [
        _made("a", 0, SECOND // 2, stamped=True),
        _made("b", 13, round(2.2 * SECOND), stamped=True),
        _made("c", 51, None, stamped=True),
    ]
    found = readership(visits, made, ARTICLE)
    assert (found.abandoned.count, found.left, found.finished, found.failed) == (1, 1, 1, 1)
    assert (found.paid, found.paid_after) == (64 / 4, 2 / 4)
    assert found.read == pytest.approx(500 / 4)
    assert found.outlived == 0
    assert found.outlived_ms is not None
    assert (found.outlived_ms.max, found.outlived_ms.n) == (200, 2)


def test_a_batch_answer_is_paid_for_after_its_reader_has_gone() -> None:
    visits = [_visit("a", "abandoned", 3.0), _visit("b", "abandoned", 0.9)]
    made = [_made("a", 51, None, stamped=False), _made("b", 51, None, stamped=False)]
    found = readership(visits, made, ARTICLE)
    assert (found.paid, found.paid_after) == (51, (31 + 51) / 2)
    assert found.outlived == 2
    assert found.read == 0


def _share(low: float, high: float) -> Share:
    return Share(1, 2, (low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("batch", "stream", "verdict"),
    [
        (_share(0.30, 0.40), _share(0.00, 0.02), "beaten"),
        (_share(0.30, 0.40), _share(0.01, 0.04), "reproduced"),
        (_share(0.30, 0.40), _share(0.04, 0.06), "not reproduced"),
        (_share(0.10, 0.20), _share(0.00, 0.02), "not reproduced"),
    ],
)
def test_b4_is_judged_by_intervals(batch: Share, stream: Share, verdict: str) -> None:
    claim = b4(batch, stream)
    assert claim.verdict == verdict
    assert "under this model of patience" in claim.measured


@pytest.mark.parametrize(
    ("stream", "verdict"), [(180, "beaten"), (212, "reproduced"), (300, "not reproduced")]
)
def test_b5_is_judged_by_the_change(stream: float, verdict: str) -> None:
    assert b5(500, stream).verdict == verdict


def test_the_streaming_stack_stops_for_those_who_leave_and_the_batch_stack_does_not(
    tmp_path: Path,
) -> None:
    crowd = ("--readers", "30", "--rate", "20", "--patience", "2", "--early", "0.5")
    run = started("readers", *crowd, "--out", str(tmp_path))
    printed, errors = run.communicate(timeout=110)
    assert run.returncode == 0, errors
    summary = json.loads((tmp_path / "summary.json").read_bytes())
    batch, stream = (summary["stacks"][name] for name in ("legacy_flask", "fastapi_app"))
    assert (batch["failed"], stream["failed"]) == (0, 0)
    assert batch["abandoned"]["count"] > stream["abandoned"]["count"]
    assert stream["left"] > 0
    assert (batch["outlived"] > 0, stream["outlived"]) == (True, 0)
    assert batch["paid"] > stream["paid"] > 0
    assert batch["paid_after"] > stream["paid_after"]
    assert [claim["id"] for claim in summary["claims"]] == ["B4", "B5"]
    assert str(tmp_path / "summary.json") in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--readers", "none"), "READERS=none"),
        (("--rate", "0"), "RATE=0"),
        (("--patience", "nan"), "PATIENCE=nan"),
        (("--early", "1.5"), "EARLY=1.5"),
        (("--words", ""), "WORDS="),
        (("--profile", "nonsense"), "PROFILE=nonsense"),
        (("--seed", "-1"), "SEED=-1"),
    ],
)
def test_a_bad_option_is_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused("readers", options, said, tmp_path, capsys)


def test_an_interrupted_run_stops_what_it_started(tmp_path: Path) -> None:
    crowd = ("--readers", "1000", "--rate", "50", "--patience", "0.2", "--profile", "chatty")
    run = started("readers", *crowd, "--out", str(tmp_path))
    interrupted(run, told("abandoned"), tmp_path, 3)
