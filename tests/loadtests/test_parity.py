"""Parity between the two running stacks, and the defects that it must find."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.parity import ParityResult, compare
from loadtests.parity_requests import refusals, valid_requests
from loadtests.targets import Targets, load_targets
from shared.schemas import ChatRequest
from tests.conftest import Stack
from tests.loadtests.mutating_proxy import Answer, Mutation, mutated
from tests.loadtests.test_targets import KEY, OPENAI
from tests.servers import ROOT, Simulator, free_port

FEW = [
    ("a prompt", ChatRequest(prompt="Grüß Gott!")),
    ("short", ChatRequest(prompt="Hi", max_tokens=3)),
]
Streams = Callable[[Mutation], ParityResult]


def in_body(old: bytes, new: bytes) -> Mutation:
    return lambda answer: replace(answer, body=answer.body.replace(old, new))


def drop_a_token(answer: Answer) -> Answer:
    """The last word of each delta is lost."""
    body = re.sub(rb'(event: delta\ndata: {"text":".*) [^ ]*"}', rb'\1"}', answer.body)
    return replace(answer, body=body)


def double_the_end(answer: Answer) -> Answer:
    return replace(answer, body=answer.body.replace(b"event: done", b"event: failure"))


def another_status(answer: Answer) -> Answer:
    return replace(answer, status=400) if answer.status == 422 else answer


def another_media_type(answer: Answer) -> Answer:
    return replace(answer, media_type=answer.media_type.replace("event-stream", "plain"))


def untouched(answer: Answer) -> Answer:
    return answer


@pytest.fixture
def urls(stacks: dict[str, Stack]) -> tuple[str, str]:
    return stacks["legacy_flask"].url, stacks["fastapi_app"].url


@pytest.fixture
def with_defect(urls: tuple[str, str]) -> Streams:
    """Compares the batch stack with a streaming stack that has a defect."""

    def compared(mutation: Mutation) -> ParityResult:
        with mutated(urls[1], mutation) as url:
            return compare(urls[0], url, requests=FEW)

    return compared


def test_our_stacks_answer_alike(urls: tuple[str, str]) -> None:
    result = compare(*urls)
    assert result.differences == []
    assert result.compared >= 2 * len(valid_requests()) + len(refusals()) >= 60


def test_the_proxy_alone_makes_no_difference(with_defect: Streams) -> None:
    assert with_defect(untouched).differences == []


@pytest.mark.parametrize(
    ("mutation", "line"),
    [
        (drop_a_token, r"a prompt: text, from character [\d,]+ on: legacy .+, streaming .+ \("),
        (double_the_end, r"a prompt: the streaming answer cannot be read \(failure"),
        (in_body(b"event: done", b"event: end"), r"the streaming answer cannot be read \(unfinished"),
        (in_body(b'"stop"', b'"length"'), r'a prompt: finish_reason: legacy "stop", streaming "length"'),
        (in_body(b'"completion_tokens":3', b'"completion_tokens":4'), r"short: usage: legacy {"),
        (in_body(b"chatcmpl-", b"cmpl-"), r'a prompt: id: legacy "chatcmpl-'),
        (in_body(b"missing, unknown", b"strange"), r'a list: error message: legacy "The request'),
        (in_body(b'"invalid_json"', b'"bad_json"'), r'no body: error code: legacy "invalid_json"'),
        (another_status, r"a list: status: legacy 422 invalid_request, streaming 400"),
        (another_media_type, r"a prompt: content type: streaming 'text/plain' instead of"),
    ],
)  # fmt: skip
def test_a_defect_is_found_and_named(with_defect: Streams, mutation: Mutation, line: str) -> None:
    differences = with_defect(mutation).differences
    assert any(re.search(line, found) for found in differences)
    assert all("\n" not in found for found in differences)


def test_a_defect_of_the_batch_stack_is_found_too(urls: tuple[str, str]) -> None:
    with mutated(urls[0], in_body(b'"text":"', b'"text":" ')) as url:
        differences = compare(url, urls[1], requests=FEW).differences
    assert any(found.startswith("a prompt: text, from character 0 on") for found in differences)


def test_a_stack_that_is_gone_is_a_difference(urls: tuple[str, str]) -> None:
    result = compare(urls[0], f"http://127.0.0.1:{free_port()}", requests=FEW)
    assert len(result.differences) == result.compared
    assert result.differences[0].startswith("a prompt: status: legacy 200, streaming no answer (")


def test_a_valid_request_that_both_refuse_is_a_difference(upstream: Simulator) -> None:
    faulty = [("busy", ChatRequest(prompt="hi", model="sim:instant+429"))]
    result = compare(upstream.url, upstream.url, openai(), faulty)
    assert result.differences == ["busy: is valid, and both refuse it: 429 rate_limit_exceeded"]


def openai() -> Targets:
    return load_targets(OPENAI, KEY)


def test_a_teams_own_endpoints_are_compared_by_their_answers(upstream: Simulator) -> None:
    result = compare(upstream.url, upstream.url, openai())
    assert result == ParityResult(len(valid_requests()), [])


@pytest.mark.parametrize(
    ("mutation", "differs"),
    [
        (in_body(b'"finish_reason":"stop"', b'"finish_reason":"length"'), True),
        (in_body(b'"content":"', b'"content":"!'), True),
        (in_body(b'"completion_tokens":', b'"completion_tokens":1'), False),
        (in_body(b"chatcmpl-", b"cmpl-"), False),
    ],
)
def test_of_a_teams_own_only_the_answers_count(
    upstream: Simulator, mutation: Mutation, differs: bool
) -> None:
    with mutated(upstream.url, mutation) as url:
        assert bool(compare(upstream.url, url, openai(), FEW).differences) == differs


def parity(out: Path, legacy_url: str, streaming_url: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "loadtests", "parity", "--out", str(out)]
    given = ["--legacy-url", legacy_url, "--streaming-url", streaming_url]
    return subprocess.run([*command, *given], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_command_writes_its_figures(urls: tuple[str, str], tmp_path: Path) -> None:
    done = parity(tmp_path, *urls)
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["differences"] == []
    assert f"Parity: {summary['compared']} requests, 0 differences" in done.stdout


def test_the_command_fails_when_the_answers_differ(urls: tuple[str, str], tmp_path: Path) -> None:
    with mutated(urls[1], drop_a_token) as url:
        done = parity(tmp_path, urls[0], url)
    assert done.returncode == 1
    assert "a prompt: text, from character" in done.stdout
    assert json.loads((tmp_path / "summary.json").read_text())["differences"]


def test_the_command_refuses_an_address_that_nobody_listens_at(tmp_path: Path) -> None:
    done = parity(tmp_path, *[f"http://127.0.0.1:{free_port()}"] * 2)
    assert done.returncode == 2
    assert done.stderr.startswith("parity: LEGACY_URL=")
    assert len(done.stderr.splitlines()) == 1
