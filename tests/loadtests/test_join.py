"""Rows of samples and timeline: the formulas of the design, retries, and what happens without a timeline."""

import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.reporting.join import Row, read_stacks, relay_lag_ms, span
from loadtests.reporting.records import Emission, RunFileError, Sample
from tests.loadtests.run_files import MS, Shape, change_lines, write_run

T = TypeVar("T")


def test_the_formulas_on_one_request(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=1))
    change_lines(
        tmp_path / "samples.jsonl",
        lambda line: line | {"start_ns": 0, "first_ns": 1250 * MS, "last_ns": 7700 * MS},
    )
    times = {"received_ns": 5 * MS, "first_ns": 1205 * MS, "last_ns": 7605 * MS}
    change_lines(tmp_path / "timeline.jsonl", lambda line: line | times)
    row = read_stacks(tmp_path)[0]["fastapi_app"].rows[0]
    assert (row.first_content_ms, row.total_ms) == (1250, 7700)
    assert (row.upstream_first_ms, row.upstream_generation_ms) == (1200, 6400)
    assert (row.first_chunk_delay_ms, row.api_overhead_ms) == (50, 100)


def test_an_open_loop_counts_from_the_schedule(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=1))
    late = {"scheduled_ns": 0, "start_ns": 300 * MS, "first_ns": 1500 * MS, "last_ns": 7900 * MS}
    change_lines(tmp_path / "samples.jsonl", lambda line: line | late)
    closed, open_loop = (
        read_stacks(tmp_path, open_loop=choice)[0]["fastapi_app"].rows[0]
        for choice in (False, True)
    )
    assert (closed.first_content_ms, closed.total_ms) == (1200, 7600)
    assert (open_loop.first_content_ms, open_loop.total_ms) == (1500, 7900)


def test_a_retry_counts_from_the_first_attempt_and_answers_from_the_last() -> None:
    failed = _emission(received_ns=10, first_ns=None, last_ns=None)
    answered = _emission(received_ns=40, first_ns=50, last_ns=90)
    for attempts in ([failed, answered], [answered, failed]):
        upstream = span(attempts)
        assert (upstream.received_ns, upstream.first_ns, upstream.last_ns) == (10, 50, 90)
        assert upstream.attempts == 2


def test_retries_are_counted(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=3))
    first = (tmp_path / "timeline.jsonl").read_text().splitlines()[0]
    failed = json.loads(first) | {"first_ns": None, "last_ns": None, "status": 500}
    failed["received_ns"] -= 100 * MS
    with (tmp_path / "timeline.jsonl").open("a") as timeline:
        timeline.write(json.dumps(failed) + "\n")
    legacy = read_stacks(tmp_path)[0]["legacy_flask"]
    assert legacy.retried == 1
    assert legacy.rows[0].api_overhead_ms == pytest.approx(_overhead(tmp_path) - 100, abs=1e-6)


def _overhead(out: Path) -> float:
    sample = json.loads((out / "samples.jsonl").read_text().splitlines()[0])
    emission = json.loads((out / "timeline.jsonl").read_text().splitlines()[0])
    spent = sample["last_ns"] - sample["start_ns"] - (emission["last_ns"] - emission["received_ns"])
    return float(spent) / MS


def test_the_same_id_in_another_phase_is_another_request(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=2))
    change_lines(tmp_path / "timeline.jsonl", lambda line: line | {"phase": "warm-up"})
    stacks, has_timeline = read_stacks(tmp_path)
    assert has_timeline
    assert stacks["fastapi_app"].unmatched == 2


def test_the_same_id_by_another_way_is_another_request(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=2, ways=("direct", "nginx")))
    change_lines(
        tmp_path / "timeline.jsonl",
        lambda line: line | ({"request_id": "?"} if line["way"] == "nginx" else {}),
    )
    direct, nginx = (
        read_stacks(tmp_path, way=way)[0]["fastapi_app"] for way in ("direct", "nginx")
    )
    assert (len(direct.rows), direct.unmatched) == (2, 0)
    assert (len(nginx.rows), nginx.unmatched) == (1, 1)


def test_a_run_from_before_there_were_ways_came_direct(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=2))
    for name in ("samples.jsonl", "timeline.jsonl"):
        change_lines(tmp_path / name, lambda line: {k: line[k] for k in line if k != "way"})
    stacks, _ = read_stacks(tmp_path)
    assert stacks["fastapi_app"].unmatched == 0
    assert len(stacks["fastapi_app"].rows) == 2


def test_without_a_timeline_overheads_are_unknown(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=2, timeline=False))
    stacks, has_timeline = read_stacks(tmp_path)
    assert not has_timeline
    assert len(stacks["fastapi_app"].milliseconds("api_overhead_ms")) == 0
    assert len(stacks["fastapi_app"].milliseconds("total_ms")) == 2
    assert len(stacks["fastapi_app"].relay_lags_ms()) == 0


@pytest.mark.parametrize(
    "broken", [{"error": "timeout"}, {"status": 500}, {"last_ns": None, "first_ns": None}]
)
def test_a_failed_request_is_in_no_distribution(tmp_path: Path, broken: dict[str, Any]) -> None:
    write_run(tmp_path, Shape(requests=3))
    change_lines(
        tmp_path / "samples.jsonl", lambda line: line | (broken if line["index"] == 1 else {})
    )
    stack = read_stacks(tmp_path)[0]["fastapi_app"]
    assert (stack.requests, len(stack.rows), len(stack.failed), stack.distinct) == (3, 2, 1, 3)
    assert len(stack.milliseconds("total_ms")) == 2


def test_batch_and_stream_are_never_pooled(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=3))
    change_lines(
        tmp_path / "samples.jsonl", lambda line: line | ({"kind": "batch"} if line["index"] else {})
    )
    with pytest.raises(RunFileError, match="fastapi_app mixes batch and stream"):
        read_stacks(tmp_path)


def test_relay_lag_of_each_token_is_that_of_the_chunk_that_completed_it() -> None:
    row = _relayed([1000, 3000, 4000], [2, 3, 1], [2000, 6000], [2, 4])
    assert list(relay_lag_ms(row)) == [1.0, 3.0, 2.0]


def test_a_chunk_that_ends_inside_a_token_does_not_complete_it() -> None:
    row = _relayed([1000, 3000], [2, 4], [2000, 4000, 7000], [2, 2, 2])
    assert list(relay_lag_ms(row)) == [1.0, 4.0]


def test_tokens_that_never_arrived_have_no_lag() -> None:
    row = _relayed([1000, 3000, 4000], [2, 3, 1], [2000], [2])
    assert list(relay_lag_ms(row)) == [1.0]


pieces = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50_000)), min_size=1, max_size=40)


@given(pieces, pieces)
def test_lags_agree_with_walking_character_by_character(
    tokens: list[tuple[int, int]], chunks: list[tuple[int, int]]
) -> None:
    token_chars, token_us = [n for n, _ in tokens], sorted(at for _, at in tokens)
    chunk_chars, chunk_us = [n for n, _ in chunks], sorted(at for _, at in chunks)
    arrivals = [at for n, at in zip(chunk_chars, chunk_us, strict=True) for _ in range(n)]
    expected, end = [], 0
    for chars, written in zip(token_chars, token_us, strict=True):
        end += chars
        if end <= len(arrivals):
            expected.append((arrivals[end - 1] - written) / 1e3)
    assert list(relay_lag_ms(_relayed(token_us, token_chars, chunk_us, chunk_chars))) == expected


def _relayed(
    token_us: list[int], token_chars: list[int], chunk_us: list[int], chunk_chars: list[int]
) -> Row:
    """A request received by the model the moment it was sent."""
    emission = _emission(
        received_ns=0, first_ns=1, last_ns=2, token_us=token_us, token_chars=token_chars
    )
    sample = _decoded(
        Sample,
        {
            "stack": "fastapi_app",
            "phase": "1",
            "index": 0,
            "request_id": "r",
            "kind": "stream",
            "status": 200,
        }
        | {"error": None, "scheduled_ns": 0, "start_ns": 0, "first_ns": 1, "last_ns": 2}
        | {"chunk_us": chunk_us, "chunk_chars": chunk_chars},
    )
    return Row(sample, span([emission]))


def _emission(**times: Any) -> Emission:
    return _decoded(Emission, {"stack": "fastapi_app", "phase": "1", "request_id": "r", **times})


def _decoded(kind: type[T], value: dict[str, Any]) -> T:
    return msgspec.json.decode(json.dumps(value), type=kind)
