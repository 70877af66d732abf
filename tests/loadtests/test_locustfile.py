"""Locust as it is started in a run: a process that follows a plan against a server whose schedule is known."""

import json
import os
import signal
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.samples import Sample, Stalls, read_samples, text_sha
from loadtests.scenarios import Plan
from loadtests.targets import OUR_STACKS
from tests.loadtests.metronome import FIRST_MS, PIECES, TOTAL_MS, Metronome, metronome
from tests.servers import ROOT, Simulator, free_port, simulator

OPENAI = str(OUR_STACKS.with_name("openai_compatible.toml"))
PATIENCE_S = 60.0
MS = 1e6


@pytest.fixture
def server() -> Iterator[Metronome]:
    with metronome() as running:
        yield running


@contextmanager
def locust(plan: Plan, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Locust with a plan, in a process group of its own, of which nothing is left afterwards."""
    path = Path(plan.out) / "plan.json"
    path.write_bytes(msgspec.json.encode(plan))
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless"]
    process = subprocess.Popen(
        [*command, "--plan", str(path), "--loglevel", "WARNING", *options],
        cwd=ROOT,
        env={**os.environ, "OPENAI_API_KEY": "sk-test"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def follow(plan: Plan, *options: str) -> list[Sample]:
    """Plays a plan to its end; its samples, by index."""
    with locust(plan, *options) as process:
        output, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, log
    last = json.loads(output.splitlines()[-1])
    samples = sorted(read_samples(Path(plan.out) / plan.samples), key=lambda sample: sample.index)
    errors = sum(sample.error is not None for sample in samples)
    assert last == {"done": len(samples), "errors": errors, "of": plan.count}
    return samples


def planned(out: Path, url: str, count: int, **more: Any) -> Plan:
    rest = {"stack": "fastapi_app", "phase": "B1", "run": "r7", "users": 5, **more}
    return Plan(url=url, out=str(out), count=count, **rest)


def median_ms(values: Iterator[int]) -> float:
    return statistics.median(values) / MS


def ports() -> tuple[str, ...]:
    """A master port of its own, so that two runs at a time do not meet."""
    port = str(free_port())
    return ("--master-bind-port", port, "--master-port", port)


def test_a_known_schedule_is_measured_within_5_ms(server: Metronome, tmp_path: Path) -> None:
    samples = follow(planned(tmp_path, server.url, 50))
    assert [sample.error for sample in samples] == [None] * 50
    first = median_ms((s.first_ns or 0) - s.start_ns for s in samples)
    total = median_ms((s.last_ns or 0) - s.start_ns for s in samples)
    assert abs(first - FIRST_MS) <= 5
    assert abs(total - TOTAL_MS) <= 5


def test_a_batch_answer_is_measured_within_5_ms(server: Metronome, tmp_path: Path) -> None:
    samples = follow(planned(tmp_path, server.url, 30, stack="legacy_flask"))
    assert all(s.error is None and s.first_ns == s.last_ns and not s.chunk_us for s in samples)
    assert abs(median_ms((s.last_ns or 0) - s.start_ns for s in samples) - TOTAL_MS) <= 5


def test_every_sample_says_what_came(server: Metronome, tmp_path: Path) -> None:
    streamed = follow(planned(tmp_path, server.url, 4))
    batch = follow(planned(tmp_path, server.url, 4, stack="legacy_flask", samples="batch.jsonl"))
    for sample in streamed:
        assert sample.chunk_chars == [len(piece) for piece in PIECES]
        assert sample.chunk_us[0] == ((sample.first_ns or 0) - sample.start_ns) // 1000
        assert sample.chunk_us[-1] == ((sample.last_ns or 0) - sample.start_ns) // 1000
        assert sample.scheduled_ns <= sample.start_ns <= (sample.headers_ns or 0)
    assert {s.text_sha for s in streamed + batch} == {text_sha("".join(PIECES), "stop")}
    assert {(s.kind, s.status, s.finish_reason) for s in batch} == {("batch", 200, "stop")}


def test_users_start_staggered_and_keep_their_connections(
    server: Metronome, tmp_path: Path
) -> None:
    samples = follow(planned(tmp_path, server.url, 20, users=4, stagger_s=0.08))
    firsts = sorted(sample.start_ns for sample in samples)[:4]
    gaps = [(after - before) / MS for before, after in pairwise(firsts)]
    assert gaps == pytest.approx([20, 20, 20], abs=16)
    assert sum(gaps) == pytest.approx(60, abs=20)
    assert server.connections == 4


def test_an_open_loop_does_not_wait_for_answers(server: Metronome, tmp_path: Path) -> None:
    """200 a second against answers of 100 ms: about 20 are under way, and none is sent late."""
    samples = follow(planned(tmp_path, server.url, 100, rate=200.0, users=1))
    assert [sample.error for sample in samples] == [None] * 100
    late = [(sample.start_ns - sample.scheduled_ns) / MS for sample in samples]
    assert min(late) >= 0
    assert statistics.median(late) <= 5
    assert server.connections >= 10
    due = [sample.scheduled_ns for sample in samples]
    assert due == sorted(due)


@pytest.mark.parametrize("rate", [None, 100.0])
def test_two_processes_send_each_request_once(
    server: Metronome, tmp_path: Path, rate: float | None
) -> None:
    plan = planned(tmp_path, server.url, 61, users=7, rate=rate)
    samples = follow(plan, "--processes", "2", *ports())
    assert [sample.index for sample in samples] == list(range(61))
    assert server.asked == Counter(sample.request_id for sample in samples)
    assert set(server.asked.values()) == {1}
    assert {sample.worker for sample in samples} == {0, 1}
    lines = (tmp_path / "stalls.jsonl").read_bytes().splitlines()
    assert {msgspec.json.decode(line, type=Stalls).worker for line in lines} == {0, 1}


def test_more_processes_than_requests_or_users(server: Metronome, tmp_path: Path) -> None:
    options = ("--processes", "2", *ports())
    assert len(follow(planned(tmp_path, server.url, 1, users=2), *options)) == 1
    alone = planned(tmp_path, server.url, 5, users=1, samples="alone.jsonl")
    assert [sample.index for sample in follow(alone, *options)] == list(range(5))


def test_a_plan_without_requests_ends(server: Metronome, tmp_path: Path) -> None:
    assert follow(planned(tmp_path, server.url, 0)) == []


@pytest.mark.parametrize(
    ("number", "processes"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)]
)
def test_an_interruption_keeps_the_samples(
    server: Metronome, tmp_path: Path, number: signal.Signals, processes: int
) -> None:
    options = ("--processes", "2", *ports()) if processes == 2 else ()
    with locust(planned(tmp_path, server.url, 100_000), *options) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["done"]:
                break
        process.send_signal(number)
        output, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, log
    samples = list(read_samples(tmp_path / "samples.jsonl"))
    assert json.loads(output.splitlines()[-1])["done"] == len(samples) > 0
    assert len({sample.index for sample in samples}) == len(samples)
    assert not {sample.error for sample in samples} - {None}


def test_a_refused_connection_is_an_error_in_each_sample(tmp_path: Path) -> None:
    samples = follow(planned(tmp_path, f"http://127.0.0.1:{free_port()}", 9))
    assert [(s.error, s.status, s.first_ns, s.text_sha) for s in samples] == [
        ("refused", 0, None, None)
    ] * 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": "/nowhere/targets.toml"}, "/nowhere/targets.toml: No such file"),
        ({"corpus": "/nowhere/corpus.jsonl"}, "/nowhere/corpus.jsonl: No such file"),
    ],
)
def test_what_cannot_be_used_ends_it_with_one_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with locust(planned(tmp_path, "http://127.0.0.1:1", 1, **change)) as process:
        _, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    (line,) = (line for line in log.splitlines() if line.startswith("locustfile: "))
    assert message in line
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def article(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("article"), profile="article") as running:
        yield running


def openai(out: Path, upstream: Simulator, count: int, model: str, **more: Any) -> Plan:
    return planned(out, upstream.url, count, targets=OPENAI, model=model, **more)


def test_the_simulators_own_timeline_is_measured_within_5_ms(
    article: Simulator, tmp_path: Path
) -> None:
    plan = openai(tmp_path, article, 50, "sim:article", users=50, stagger_s=1.0, max_tokens=40)
    samples = follow(plan)
    assert [(s.error, s.finish_reason, s.completion_tokens) for s in samples] == [
        (None, "length", 40)
    ] * 50
    records = {sample.request_id: article.ended(sample.request_id) for sample in samples}
    for stamp in ("first_ns", "last_ns"):
        errors = [
            getattr(s, stamp) - s.start_ns - (record[stamp] - record["received_ns"])
            for s, record in ((s, records[s.request_id]) for s in samples)
        ]
        assert abs(statistics.median(errors)) <= 5 * MS


def test_batch_and_stream_give_the_same_answers(upstream: Simulator, tmp_path: Path) -> None:
    streamed = follow(openai(tmp_path, upstream, 20, "sim:instant"))
    plan = openai(tmp_path, upstream, 20, "sim:instant", stack="legacy_flask", samples="b.jsonl")
    assert [s.text_sha for s in streamed] == [s.text_sha for s in follow(plan)]
    assert len({s.text_sha for s in streamed}) == 20


FAULTS = {
    "429": "http_429:rate_limit_exceeded",
    "stall": "timeout",
    "stall-mid": "timeout",
    "drop": "no_answer",
    "drop-mid": "reset",
    "malformed": "bad_event",
    "no-done": "unfinished",
    "html": "unfinished",
    "error-object": "failure",
    "open-after-done": None,
}


def test_each_fault_has_its_code(upstream: Simulator, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    lines = ({"prompt": "hi", "model": f"sim:instant+{fault}"} for fault in FAULTS)
    corpus.write_text("\n".join(map(json.dumps, lines)))
    plan = planned(
        tmp_path, upstream.url, 3 * len(FAULTS), targets=OPENAI, corpus=str(corpus), timeout_s=1.0
    )
    assert [sample.error for sample in follow(plan)] == list(FAULTS.values()) * 3
