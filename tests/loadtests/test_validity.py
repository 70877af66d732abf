"""The validity gate: a sound run passes, and each mutant of it is INVALID for its own reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtests.reporting.figures import Summary
from loadtests.reporting.summary import measure
from tests.loadtests.run_files import (
    MS,
    Shape,
    change_lines,
    production_run,
    write_run,
    write_stalls,
)

Mutant = Callable[[Path], None]


def judged(out: Path) -> Summary:
    return measure(out).summary


def test_a_sound_run_is_valid(tmp_path: Path) -> None:
    summary = judged(write_run(tmp_path))
    assert summary.valid
    assert summary.invalid_reasons == []


def run(**changes: Any) -> Mutant:
    """Changes run.json, one level deep."""

    def change(out: Path) -> None:
        path = out / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def harness(**changes: Any) -> Mutant:
    """Changes what run.json says of the harness."""
    sound = {"cpu_share": {"client": 0.3, "simulator": 0.2}, "deadline_miss_ms": missed(1.1)}
    return run(harness=sound | changes)


def missed(p99: float) -> dict[str, float]:
    return {"mean": 0.2, "p50": 0.1, "p95": 0.6, "p99": p99, "max": 9.0, "n": 200}


def samples(
    condition: Callable[[dict[str, Any]], bool], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Mutant:
    def mutate(out: Path) -> None:
        path = out / "samples.jsonl"
        change_lines(path, lambda line: line | change(line) if condition(line) else line)

    return mutate


def without(name: str, lines: int) -> Mutant:
    """Drops the last lines of a file."""

    def mutate(out: Path) -> None:
        kept = (out / name).read_text().splitlines(keepends=True)[:-lines]
        (out / name).write_text("".join(kept))

    return mutate


def repeated(out: Path) -> None:
    path = out / "samples.jsonl"
    text = path.read_text()
    path.write_text(text + text.splitlines(keepends=True)[-1])


def late(line: dict[str, Any]) -> dict[str, Any]:
    return {"scheduled_ns": line["start_ns"] - 12 * MS}


def streaming(line: dict[str, Any]) -> bool:
    return bool(line["stack"] == "fastapi_app")


MUTANTS: dict[str, tuple[Mutant, str]] = {
    "interrupted": (run(interrupted=True), "interrupted"),
    "too few": (without("samples.jsonl", 1), "fastapi_app: 199 of 200 requests were sent"),
    "one stack missing": (without("samples.jsonl", 200), "fastapi_app: 0 of 200 requests"),
    "repeated": (repeated, "fastapi_app: 1 samples repeat"),
    "an error": (
        samples(lambda s: s["index"] == 3, lambda _: {"error": "timeout"}),
        "1 of 200 requests failed (timeout: 1)",
    ),
    "a status": (
        samples(lambda s: s["index"] == 3, lambda _: {"status": 503}),
        "failed (status 503: 1)",
    ),
    "an empty answer": (
        samples(lambda s: s["index"] == 3, lambda _: {"first_ns": None, "last_ns": None}),
        "failed (status 200: 1)",
    ),
    "another answer": (
        samples(lambda s: streaming(s) and s["index"] == 3, lambda _: {"text_sha": "0" * 16}),
        "1 of 200 differ",
    ),
    "no sha": (samples(lambda s: s["index"] == 3, lambda _: {"text_sha": None}), "1 of 200 differ"),
    "nothing comparable": (
        samples(streaming, lambda s: {"index": s["index"] + 1000}),
        "none could be compared",
    ),
    "batch twice": (
        samples(streaming, lambda _: {"kind": "batch"}),
        "fastapi_app: every answer came as batch",
    ),
    "late client": (
        samples(lambda s: streaming(s) and s["index"] % 20 == 0, late),
        "fastapi_app: client dispatch delay p99 was 12.0 ms",
    ),
    "stalled client": (
        lambda out: write_stalls(out, [500.0] * 98 + [15_000.0] * 2),
        "client loop stall p99 was 15.0 ms",
    ),
    "stalls not taken": (
        lambda out: (out / "stalls.jsonl").unlink(),
        "client loop stall p99 was not measured",
    ),
    "late simulator": (
        harness(deadline_miss_ms=missed(2.1)),
        "simulator deadline miss p99 was 2.1 ms",
    ),
    "misses not taken": (harness(deadline_miss_ms=None), "deadline miss p99 was not measured"),
    "no misses counted": (harness(deadline_miss_ms={"n": 0}), "deadline miss p99 was not measured"),
    "busy client": (
        harness(cpu_share={"client": 0.81, "simulator": 0.2}),
        "CPU of the client was 81 %",
    ),
    "busy simulator": (
        harness(cpu_share={"client": 0.2, "simulator": 0.95}),
        "CPU of the simulator was 95 %",
    ),
    "CPU not taken": (
        harness(cpu_share={"client": None, "simulator": 0.2}),
        "CPU of the client was not measured",
    ),
    "simulator's CPU not taken": (
        harness(cpu_share={"client": 0.2}),
        "CPU of the simulator was not measured",
    ),
    "hole in the timeline": (without("timeline.jsonl", 1), "fastapi_app: 1 answers are missing"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_invalid_for_its_reason(tmp_path: Path, name: str) -> None:
    mutate, reason = MUTANTS[name]
    write_run(tmp_path)
    mutate(tmp_path)
    summary = judged(tmp_path)
    assert not summary.valid
    assert any(reason in found for found in summary.invalid_reasons), summary.invalid_reasons


@pytest.mark.parametrize(
    "mutate",
    [
        harness(cpu_share={"client": 0.80, "simulator": 0.80}),
        harness(deadline_miss_ms=missed(2.0)),
        lambda out: write_stalls(out, [500.0] * 98 + [10_000.0] * 2),
        samples(
            lambda s: s["index"] % 20 == 0, lambda s: {"scheduled_ns": s["start_ns"] - 10 * MS}
        ),
    ],
)
def test_at_its_limit_a_run_is_still_valid(tmp_path: Path, mutate: Mutant) -> None:
    write_run(tmp_path)
    mutate(tmp_path)
    assert judged(tmp_path).invalid_reasons == []


def test_errors_that_are_provoked_do_not_make_a_run_invalid(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(run={"expects_errors": True}))
    change_lines(
        tmp_path / "samples.jsonl", lambda s: s | {"error": "stalled"} if s["index"] == 3 else s
    )
    summary = judged(tmp_path)
    assert summary.invalid_reasons == []
    assert (summary.stacks.fastapi_app.errors, summary.answers.compared) == (1, 199)


def test_answers_may_differ_where_the_model_is_not_promised_to_repeat_itself(
    tmp_path: Path,
) -> None:
    write_run(tmp_path, Shape(run={"same_answers": False}))
    change_lines(tmp_path / "samples.jsonl", lambda s: s | {"text_sha": s["stack"]})
    summary = judged(tmp_path)
    assert (summary.invalid_reasons, summary.answers.identical) == ([], 0)


def test_a_teams_own_endpoints_need_no_simulator(tmp_path: Path) -> None:
    own = {"harness": {"cpu_share": {"client": 0.2, "simulator": None}, "deadline_miss_ms": None}}
    assert judged(write_run(tmp_path, Shape(timeline=False, run=own))).valid


def test_few_samples_are_judged_by_their_maximum(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=30))
    change_lines(tmp_path / "samples.jsonl", lambda s: s | late(s) if s["index"] == 3 else s)
    assert any("dispatch delay" in reason for reason in judged(tmp_path).invalid_reasons)


def through_nginx(line: dict[str, Any]) -> bool:
    return bool(line["way"] == "nginx" and line["stack"] == "fastapi_app")


THROUGH_NGINX: dict[str, tuple[Mutant, str]] = {
    "too few": (
        samples(lambda s: through_nginx(s) and s["index"] == 3, lambda _: {"index": 4}),
        "fastapi_app: 99 of 100 requests were sent",
    ),
    "an error": (
        samples(lambda s: through_nginx(s) and s["index"] == 3, lambda _: {"error": "http_503"}),
        "fastapi_app: 1 of 100 requests failed (http_503: 1)",
    ),
    "another answer": (
        samples(lambda s: through_nginx(s) and s["index"] == 3, lambda _: {"text_sha": "0" * 16}),
        "1 of 100 differ",
    ),
    "late client": (samples(through_nginx, late), "client dispatch delay p99 was 12.0 ms"),
    "stalls not taken": (
        lambda out: write_stalls(out, [500.0] * 100),
        "client loop stall p99 was not measured",
    ),
    "no timeline of it": (
        lambda out: change_lines(
            out / "timeline.jsonl", lambda e: e | ({"way": "direct"} if through_nginx(e) else {})
        ),
        "fastapi_app: 100 answers are missing in the simulator's timeline",
    ),
}


@pytest.mark.parametrize("name", THROUGH_NGINX)
def test_what_came_through_nginx_is_gated_for_itself(tmp_path: Path, name: str) -> None:
    out = production_run(tmp_path)
    mutate, said = THROUGH_NGINX[name]
    mutate(out)
    summary = judged(out)
    assert not summary.valid
    assert all(reason.startswith("through nginx: ") for reason in summary.invalid_reasons)
    assert any(said in reason for reason in summary.invalid_reasons)


def test_a_sound_run_through_nginx_is_valid(tmp_path: Path) -> None:
    assert judged(production_run(tmp_path)).invalid_reasons == []
