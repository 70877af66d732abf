"""summary.json: its keys are the contract, its figures follow from the files, broken files are named."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests import report
from loadtests.reporting import figures
from loadtests.reporting.records import RunFileError
from loadtests.reporting.summary import measure
from tests.loadtests.run_files import Shape, change_lines, production_run, write_run

BATCH = [
    "requests",
    "errors",
    "first_content_ms",
    "total_ms",
    "api_overhead_ms",
    "cpu_ms_per_request",
    "rss_peak_mib",
    "requests_per_s",
]
STREAM = [*BATCH, "first_chunk_delay_ms", "inter_chunk_ms", "relay_lag_ms", "cpu_us_per_token"]
TOP = [
    "scenario",
    "requests",
    "users",
    "valid",
    "invalid_reasons",
    "versions",
    "stacks",
    "upstream",
    "answers",
    "harness",
    "claims",
    "confidence",
]
QUANTILES = ["mean", "p50", "p95", "p99", "max", "n"]


def written(out: Path) -> dict[str, Any]:
    report.write(out)
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


def figured(out: Path) -> dict[str, Any]:
    """The same without the reports, which take longer."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(measure(out).summary))
    return found


def test_the_keys_are_those_of_the_design(tmp_path: Path) -> None:
    summary = written(write_run(tmp_path))
    assert list(summary) == TOP
    assert list(summary["stacks"]["legacy_flask"]) == BATCH
    assert list(summary["stacks"]["fastapi_app"]) == STREAM
    assert list(summary["upstream"]) == ["first_token_ms", "generation_ms"]
    assert list(summary["answers"]) == ["compared", "identical"]
    assert list(summary["harness"]["cpu_share"]) == ["client", "simulator"]
    assert [list(claim) for claim in summary["claims"]] == [
        ["id", "article", "measured", "verdict"]
    ] * 6
    for stack in summary["stacks"].values():
        assert list(stack["total_ms"]) == QUANTILES


def test_the_figures_follow_from_the_files(tmp_path: Path) -> None:
    summary = written(write_run(tmp_path, Shape(batch_overhead_ms=20, first_chunk_ms=4)))
    legacy, stream = summary["stacks"]["legacy_flask"], summary["stacks"]["fastapi_app"]
    assert summary["upstream"]["first_token_ms"]["p50"] == 1200
    assert summary["upstream"]["generation_ms"]["p50"] == 6400
    assert legacy["first_content_ms"] == legacy["total_ms"]
    assert 7618 < legacy["total_ms"]["p50"] < 7626
    assert 3 < stream["first_chunk_delay_ms"]["p50"] < 8
    assert legacy["cpu_ms_per_request"] == 2.4
    assert stream["cpu_us_per_token"] == 42
    assert legacy["requests_per_s"] == 0.5
    assert stream["inter_chunk_ms"]["n"] == 200 * 125
    assert stream["relay_lag_ms"]["n"] == 200 * 500
    assert summary["answers"] == {"compared": 200, "identical": 200}


def test_a_production_run_is_broken_down_and_judged_by_article_b(tmp_path: Path) -> None:
    summary = figured(production_run(tmp_path))
    assert list(summary) == [*TOP, "breakdown"]
    assert [claim["id"] for claim in summary["claims"]] == ["B1", "B2"]
    ways = summary["breakdown"]["ways"]
    assert [ways[way]["fastapi_app"]["requests"] for way in ("direct", "nginx")] == [200, 100]
    assert ways["nginx"]["legacy_flask"]["proxy_cpu_ms_per_request"] == 5
    assert ways["direct"]["legacy_flask"]["proxy_cpu_ms_per_request"] is None
    assert summary["breakdown"]["visible_ms"]["fastapi_app"]["p50"] == 185


def test_ways_are_never_pooled(tmp_path: Path) -> None:
    before = figured(production_run(tmp_path))
    second = 1_000_000_000

    def later(line: dict[str, Any]) -> dict[str, Any]:
        """An answer through nginx takes a second more."""
        stamps = ("headers_ns", "first_ns", "last_ns") if line["way"] == "nginx" else ()
        return line | {name: line[name] + second for name in stamps}

    change_lines(tmp_path / "samples.jsonl", later)
    after = figured(tmp_path)
    assert after["stacks"] == before["stacks"]
    was, now = (summary["breakdown"]["ways"] for summary in (before, after))
    assert now["direct"] == was["direct"]
    for name in ("legacy_flask", "fastapi_app"):
        for figure in ("first_byte_ms", "first_content_ms", "total_ms"):
            added = now["nginx"][name][figure]["p50"] - was["nginx"][name][figure]["p50"]
            assert added == pytest.approx(1000)


def test_the_stages_of_each_request_make_up_its_time(tmp_path: Path) -> None:
    found = measure(production_run(tmp_path)).summary.breakdown
    assert found is not None
    for stacks in found.ways.values():
        for name, one in stacks.items():
            assert one.stages is not None
            whole = one.total_ms if name == "legacy_flask" else one.first_content_ms
            parts = (one.stages.until_model_ms, one.stages.model_ms, one.stages.from_model_ms)
            assert whole is not None
            assert sum(part.mean for part in parts) == pytest.approx(whole.mean, abs=0.01)
            assert sum(one.stages.shares) == pytest.approx(1)


def test_intervals_enclose_the_figures_they_stand_beside(tmp_path: Path) -> None:
    summary = written(write_run(tmp_path, Shape(requests=600, tokens=8)))
    for name in ("legacy_flask", "fastapi_app"):
        for figure, intervals in summary["confidence"][name].items():
            for quantile, (low, high) in intervals.items():
                assert low <= summary["stacks"][name][figure][quantile] <= high
    assert "first_chunk_delay_ms" in summary["confidence"]["fastapi_app"]


def test_what_was_not_measured_is_null(tmp_path: Path) -> None:
    own = {"stacks": {}, "handling": None, "harness": {"cpu_share": {"client": 0.2}}}
    summary = written(write_run(tmp_path, Shape(timeline=False, run=own)))
    stream = summary["stacks"]["fastapi_app"]
    unknown = (
        "api_overhead_ms",
        "first_chunk_delay_ms",
        "relay_lag_ms",
        "cpu_us_per_token",
        "rss_peak_mib",
    )
    assert [stream[name] for name in unknown] == [None] * 5
    assert summary["upstream"] == {"first_token_ms": None, "generation_ms": None}
    assert stream["total_ms"]["n"] == 200


def test_unreported_tokens_cost_the_figure_and_not_the_run(tmp_path: Path) -> None:
    write_run(tmp_path)
    change_lines(tmp_path / "samples.jsonl", lambda line: line | {"completion_tokens": None})
    summary = written(tmp_path)
    assert summary["valid"]
    assert summary["stacks"]["fastapi_app"]["cpu_us_per_token"] is None


def test_the_worse_stack_is_shown_for_the_harness(tmp_path: Path) -> None:
    write_run(tmp_path)
    early = {"legacy_flask": 0, "fastapi_app": 5_000_000}
    change_lines(
        tmp_path / "samples.jsonl",
        lambda line: line | {"scheduled_ns": line["start_ns"] - early[line["stack"]]},
    )
    assert written(tmp_path)["harness"]["dispatch_delay_ms"]["p99"] == 5


def test_a_summary_reads_back(tmp_path: Path) -> None:
    summary = report.write(write_run(tmp_path))
    assert figures.read(tmp_path / "summary.json") == summary


def test_a_last_line_cut_off_by_an_interruption_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(run={"interrupted": True}))
    text = (tmp_path / "samples.jsonl").read_text()
    (tmp_path / "samples.jsonl").write_text(text[:-40])
    assert written(tmp_path)["stacks"]["fastapi_app"]["requests"] == 199


BROKEN = {
    "run.json": ["", "{", "[]", '{"scenario": 1}'],
    "samples.jsonl": ["", "nonsense\n", "{}\n", '"\xff"\n'],
    "timeline.jsonl": ["nonsense\n", '{"stack": "other"}\n'],
    "stalls.jsonl": ["nonsense\n"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts]
)
def test_a_broken_file_is_one_line_that_names_it(tmp_path: Path, name: str, text: str) -> None:
    write_run(tmp_path, Shape(requests=2))
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(RunFileError) as caught:
        report.write(tmp_path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["run.json", "samples.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write_run(tmp_path, Shape(requests=2)) / name).unlink()
    with pytest.raises(RunFileError, match=name):
        report.write(tmp_path)


def test_broken_stamps_are_named_too(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=2))
    change_lines(tmp_path / "samples.jsonl", lambda line: line | {"chunk_us": ["soon"]})
    with pytest.raises(RunFileError, match="stamps"):
        report.write(tmp_path)
