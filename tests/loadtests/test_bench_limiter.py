"""The bench of the limiter: real calls to a real Redis, a claim with a rule, and figures that are of Redis."""

import json
from pathlib import Path

import pytest

from loadtests.__main__ import main
from loadtests.bench_limiter import ASYNC, SYNC, summarise
from loadtests.limiter_calls import MEMORY, NAMES, PING, REDIS
from loadtests.reporting.limiter_claims import ARTICLE_P99_MS, Costs, b7
from loadtests.stats import Distribution
from tests.stores import redis_for_a_test


def _of(p99: float) -> Distribution:
    return Distribution(mean=p99, p50=p99 / 2, p95=p99, p99=p99, max=2 * p99, n=1000)


@pytest.mark.parametrize(
    ("p99", "verdict"),
    [
        (ARTICLE_P99_MS * 0.8, "beaten"),
        (ARTICLE_P99_MS, "reproduced"),
        (ARTICLE_P99_MS * 1.2, "not reproduced"),
    ],
)
def test_b7_goes_by_the_calls_that_wait_for_redis_alone(p99: float, verdict: str) -> None:
    claim = b7(Costs(admit=_of(p99), crowded=_of(50.0), ping=_of(0.2), clients=50))
    assert (claim.id, claim.verdict) == ("B7", verdict)
    assert "a bare PING takes 0.10 and 0.20" in claim.measured
    assert "with 50 calls at once" in claim.measured


def test_calls_that_redis_did_not_decide_are_a_failure() -> None:
    row = {name: _of(0.4) for name in NAMES}
    figures = {f"{kind}, {at_once} at once": row for kind in (SYNC, ASYNC) for at_once in (1, 50)}
    assert summarise(figures, 50, asked=40, decided=40)["holds"] is True
    summary = summarise(figures, 50, asked=40, decided=39)
    assert (summary["holds"], summary["failures"]) == (False, ["Redis counted 39 of 40 calls"])


def test_the_whole_of_it_keeps_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with redis_for_a_test(tmp_path) as redis:
        monkeypatch.setenv("REDIS_URL", redis.url)
        out = tmp_path / "run"
        status = main(["bench-limiter", "--requests", "100", "--clients", "4", "--out", str(out)])
    summary = json.loads((out / "summary.json").read_bytes())
    assert list(summary["ms"]) == [f"{kind}, {n} at once" for n in (1, 4) for kind in (SYNC, ASYNC)]
    for row in summary["ms"].values():
        assert list(row) == list(NAMES)
        assert row[MEMORY]["p50"] < min(row[PING]["p50"], row[REDIS]["p50"])
        assert {one["n"] for one in row.values()} == {100}
    assert [claim["id"] for claim in summary["claims"]] == ["B7"]
    assert status == (0 if summary["holds"] else 1)
    assert str(out / "summary.json") in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--requests=none", "--requests=1", "--clients=1"])
def test_a_bad_option_is_one_line(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench-limiter", option, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert option.strip("-") in said.err.lower()
    assert not (tmp_path / "run").exists()


def test_a_redis_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    assert main(["bench-limiter", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("bench-limiter: ")
    assert "hunter2" not in said
    assert not (tmp_path / "summary.json").exists()
