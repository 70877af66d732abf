"""Batches of samples between load processes and the files."""

import json
from pathlib import Path

import msgspec
import pytest

from loadtests.client.collector import Collector, Outbox
from loadtests.samples import read_samples
from loadtests.scenarios import Plan
from tests.loadtests.test_samples import SAMPLE


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(
        stack="fastapi_app", phase="B1", url="http://x", out=str(tmp_path), run="r", count=3
    )


def filled(plan: Plan, worker: int, *indices: int, error: str | None = None) -> Outbox:
    outbox = Outbox(plan, worker)
    for index in indices:
        outbox.add(msgspec.structs.replace(SAMPLE, index=index, worker=worker, error=error))
    return outbox


def test_samples_and_stalls_come_whole(plan: Plan, tmp_path: Path) -> None:
    collector = Collector(plan)
    collector.take(filled(plan, 0, 0, 2).batch([5, 6], last=True))
    assert collector.closed == 1
    collector.take(filled(plan, 1, 1, error="reset").batch([], last=True))
    assert collector.closed == 2
    assert json.loads(collector.progress()) == {"done": 3, "errors": 1, "of": 3}
    collector.close()
    assert sorted(s.index for s in read_samples(tmp_path / "samples.jsonl")) == [0, 1, 2]
    (stalls,) = map(json.loads, (tmp_path / "stalls.jsonl").read_text().splitlines())
    mark = {"stack": "fastapi_app", "phase": "B1", "way": "direct", "worker": 0}
    assert stalls == mark | {"lateness_us": [5, 6]}


def test_a_batch_that_comes_twice_counts_once(plan: Plan, tmp_path: Path) -> None:
    collector = Collector(plan)
    outbox = filled(plan, 0, 0)
    first = outbox.batch([1], last=False)
    outbox.add(msgspec.structs.replace(SAMPLE, index=1))
    second = outbox.batch([2], last=False)
    for message in (first, second, second, first):
        collector.take(message)
    assert collector.done == outbox.total == 2
    assert [s.index for s in read_samples(tmp_path / "samples.jsonl")] == [0, 1]


def test_a_batch_holds_only_what_is_new(plan: Plan) -> None:
    outbox = filled(plan, 0, 0, 1)
    assert outbox.batch([], last=False)["done"] == 2
    empty = outbox.batch([], last=True)
    assert (empty["done"], empty["samples"], empty["stalls"]) == (0, b"", b"")
