"""Parity between the two running stacks, and the defects that it must find."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from loadtests.__main__ import main
from loadtests.equality.asking import Asker, Finding
from loadtests.equality.behind import PROXIES, Front, asked_behind_nginx, seen_behind_nginx
from loadtests.equality.comparing import ANSWERED, ParityResult, compare, examine, settings
from loadtests.equality.corpus import corpus
from loadtests.equality.mutants import KEY as GUARD
from loadtests.equality.mutants import MUTANTS, Buffered
from loadtests.equality.probes import Probe, post
from loadtests.equality.questions import questions
from loadtests.equality.relay import Defect, Faithful, Head, relayed
from loadtests.equality.timing import timed
from loadtests.ledger import load_ledger
from loadtests.nginx import proxied
from loadtests.stage import Stage, StageOptions, raised
from loadtests.targets import Targets, load_targets
from shared.schemas import ChatRequest
from tests.conftest import Stack
from tests.loadtests.test_shape import AT_ONCE
from tests.loadtests.test_targets import KEY, OPENAI
from tests.servers import ROOT, Simulator, free_port

FEW = [
    ("a prompt", ChatRequest(prompt="Grüß Gott!")),
    ("short", ChatRequest(prompt="Hi", max_tokens=3)),
]
LONG = [("a long answer", ChatRequest(prompt="Go on.", model="sim:production", max_tokens=230))]
BRIEF = post(
    "timed: brief",
    {"prompt": "Tell me.", "model": "sim:production", "max_tokens": 150, "stream": True},
)
Streams = Callable[[type[Defect]], ParityResult]
Done = subprocess.CompletedProcess[str]
LEDGER = load_ledger()


def parity(out: Path, *given: str) -> Done:
    command = [sys.executable, "-m", "loadtests", "parity", "--out", str(out), *given]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)


# The whole corpus, once.


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    out = tmp_path_factory.mktemp("parity")
    return parity(out), out / "summary.json"


def test_our_stacks_differ_as_the_ledger_says_and_in_nothing_else(whole: tuple[Done, Path]) -> None:
    done, path = whole
    summary = json.loads(path.read_text("utf-8"))
    assert (summary["unlisted"], summary["stale"]) == ([], [])
    assert (done.returncode, done.stderr) == (0, "")
    assert summary["compared"] == len(corpus(GUARD)) + len(list(timed()))
    assert summary["streams_timed"] == len(list(timed()))
    assert summary["listed"].keys() == {entry.id for entry in LEDGER}


def test_it_prints_each_entry_and_one_sentence(whole: tuple[Done, Path]) -> None:
    *lines, last = whole[0].stdout.splitlines()
    shown = [
        line.split()[0] for line in lines if re.fullmatch(r"  [a-z0-9-]+ +\d+ requests?", line)
    ]
    assert shown == [entry.id for entry in LEDGER]
    assert re.match(r"Parity: \d+ requests, \d+ streams timed, \d+ listed differences in", last)
    assert last.endswith("0 unlisted: the same answers from both stacks.")


# Its mutants, on a part of the corpus.


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    options = StageOptions(tmp_path_factory.mktemp("stage"), "instant")
    with raised(replace(options, settings=settings("instant"))) as up:
        yield up


@pytest.fixture(scope="module")
def part() -> list[Probe]:
    """Some of each kind, of no provider that falls silent."""
    quick = [one for one in corpus(GUARD) if not re.match(r"fault (stall|trickle)", one.name)]
    keys = [one for one in quick if re.match(r"key: (a wrong key|empty)|no key: ", one.name)]
    return [*{probe.name: probe for probe in [*quick[::20], *keys]}.values()]


@pytest.mark.parametrize(
    ("mutant", "first", "every"),
    [
        ("buffered", r"timed: .+: buffered: the first text came [\d,]+ ms after", r"timed: "),
        ("dropped-token", r"timed: .+: legacy text of [\d,]+ characters, from [\d,]+ on ", r".+ text of"),
        ("error-body", r"legacy 422 invalid_request, streaming 422 application/json", ""),
        ("missing-guard", r"key: a wrong key: legacy 401 unauthorized, streaming 200", r"(no )?key"),
    ],
)  # fmt: skip
def test_a_mutant_is_found_and_named(
    stage: Stage, part: list[Probe], mutant: str, first: str, every: str
) -> None:
    streams = list(timed())[:2]
    found = examine(stage, part, streams, LEDGER, defect=MUTANTS[mutant], whole=False)
    assert any(re.search(first, line) for line in found.unlisted)
    assert all(re.match(every, line) and "\n" not in line for line in found.unlisted)
    held_back = [line for line in found.unlisted if "buffered" in line or "held back" in line]
    assert len(held_back) == (2 if mutant == "buffered" else 0)


def test_the_proxy_alone_makes_no_difference(stage: Stage, part: list[Probe]) -> None:
    streams = list(timed())[:2]
    found = examine(stage, part, streams, LEDGER, defect=Faithful, whole=False)
    assert found.differences == []
    assert (found.compared, found.streams_timed) == (len(part) + 2, 2)


# Through nginx.


def through(
    stage: Stage,
    front: Front,
    probes: Sequence[Probe] = (),
    defect: type[Defect] | None = None,
) -> ParityResult:
    return examine(stage, probes, [BRIEF], LEDGER, defect=defect, front=front, whole=False)


def test_nginx_as_shipped_makes_no_difference(stage: Stage, tmp_path: Path) -> None:
    probes = asked_behind_nginx(LEDGER)[::9]
    found = through(stage, Front("shipped", tmp_path), probes)
    assert found.differences == []
    assert (found.compared, found.streams_timed) == (len(probes) + 1, 1)
    assert {"get-streams", "streams-are-not-cached"} <= found.listed.keys()
    for name in ("legacy_flask", "fastapi_app"):
        asked = (tmp_path / name / "access.log").read_text("utf-8").splitlines()
        assert len(asked) > len(probes)


def test_a_proxy_that_buffers_is_named(stage: Stage, tmp_path: Path) -> None:
    found = through(stage, Front("buffering", tmp_path))
    [line] = found.differences
    assert re.match(r"timed: brief: buffered by a proxy: the first text came [\d,]+ ms after", line)
    assert line.endswith("; asked without it, the stack holds nothing back")


def test_a_stack_that_buffers_is_not_the_fault_of_nginx(stage: Stage, tmp_path: Path) -> None:
    [line] = through(stage, Front("shipped", tmp_path), defect=Buffered).differences
    assert line.startswith("timed: brief: buffered: the first text came ")
    assert "proxy" not in line


def test_behind_nginx_a_header_of_nginx_is_not_looked_for() -> None:
    gone = set(LEDGER) - set(seen_behind_nginx(LEDGER))
    assert {entry.id for entry in gone} == {"streams-pass-nginx"}


def test_an_entry_that_is_removed_is_missed(stage: Stage, part: list[Probe]) -> None:
    rest = tuple(entry for entry in LEDGER if entry.id != "get-streams")
    found = examine(stage, part, [], rest, whole=False)
    assert found.unlisted
    assert all(line.startswith("GET: ") for line in found.unlisted)


def test_an_entry_that_is_not_so_is_stale(stage: Stage, part: list[Probe]) -> None:
    idle = msgspec.structs.replace(LEDGER[0], id="idle", requests=("POST: *",))
    found = examine(stage, part, [], (*LEDGER, idle), whole=False)
    assert (found.unlisted, len(found.stale)) == ([], 1)
    assert found.stale[0].startswith("idle: POST: ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--mutant", "nonsense"), f"MUTANT=nonsense: there are {', '.join(MUTANTS)}"),
        (("--mutant", "buffered", "--legacy-url", "http://a"), "MUTANT=buffered: a defect goes with"),
        (("--profile", "nonsense"), "PROFILE=nonsense: there are "),
        (("--proxy", "nonsense"), f"PROXY=nonsense: there are {', '.join(PROXIES)}"),
        (("--proxy", "shipped", "--legacy-url", "http://a"), "PROXY=shipped: nginx goes before our own"),
    ],
)  # fmt: skip
def test_a_bad_option_is_one_clear_line(
    tmp_path: Path, given: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["parity", "--out", str(tmp_path / "out"), *given])
    printed, errors = capsys.readouterr()
    assert (status, printed) == (2, "")
    assert errors.startswith(f"parity: {said}")
    assert errors.count("\n") == 1


# The small set, which is also the gate of `make compare`.


@pytest.fixture
def urls(stacks: dict[str, Stack]) -> tuple[str, str]:
    return stacks["legacy_flask"].url, stacks["fastapi_app"].url


@pytest.fixture
def with_defect(urls: tuple[str, str]) -> Streams:
    """Compares the batch stack with a streaming stack that has a defect."""

    def compared(defect: type[Defect]) -> ParityResult:
        with relayed(urls[1], defect) as url:
            return compare(urls[0], url, requests=FEW)

    return compared


def in_body(old: bytes, new: bytes) -> type[Defect]:
    class Changed(Faithful):
        def body(self, piece: bytes, head: Head) -> bytes:
            return piece.replace(old, new)

    return Changed


def in_head(change: Callable[[Head], Head]) -> type[Defect]:
    class Changed(Faithful):
        def head(self, head: Head) -> Head:
            return change(head)

    return Changed


def without(name: str) -> type[Defect]:
    def changed(head: Head) -> Head:
        return replace(
            head, headers=tuple(pair for pair in head.headers if pair[0].lower() != name)
        )

    return in_head(changed)


def with_header(name: str, value: str) -> type[Defect]:
    def changed(head: Head) -> Head:
        kept = (pair for pair in head.headers if pair[0].lower() != name)
        return replace(head, headers=(*kept, (name, value)))

    return in_head(changed)


def another_status(head: Head) -> Head:
    return replace(head, status=400) if head.status == 422 else head


STREAM_END = (b"event: done", b"event: done\ndata: {}\n\nevent: done")


@pytest.mark.parametrize(
    ("defect", "line"),
    [
        (in_body(*STREAM_END), r"GET: short: .+ charset=utf-8, 2 terminal events, more after its"),
        (in_body(b"event: done", b"event: end"), r"streaming 200 text/event-stream.+, unfinished"),
        (in_body(b"event: done", b"event: failure"), r"text/event-stream; charset=utf-8, failure"),
        (in_body(b'"finish_reason":"length"', b'"finish_reason":"stop"'), r"finish_reason \"length\""),
        (in_body(b'"completion_tokens":3', b'"completion_tokens":4'), r"short: legacy usage {"),
        (in_body(b"chatcmpl-", b"cmpl-"), r'a prompt: legacy id "chatcmpl-'),
        (in_body(b"missing, unknown", b"strange"), r'legacy message "The request has fields that'),
        (in_body(b'"unsupported_media_type"', b'"media"'), r"415 unsupported_media_type, streaming"),
        (in_body(b'"request_id":"p', b'"request_id":"q'), r"streaming the same .+another in the body"),
        (in_head(another_status), r"legacy 422 invalid_request, streaming 400"),
        (without("x-request-id"), r"legacy the same X-Request-ID, streaming no X-Request-ID"),
        (without("allow"), r"legacy Allow: .+, streaming no Allow"),
        (without("x-accel-buffering"), r"stale: streams-pass-nginx: .+; the ledger says"),
        (with_header("x-request-id", "made"), r"legacy the same X-Request-ID, streaming a new"),
        (with_header("x-request-id", "made"), r"path: .+: legacy the same X-R"),
        (with_header("connection", "close"), r"legacy keeps the connection, streaming closes"),
        (with_header("content-type", "text/plain"), r"legacy 200 application/json, streaming 200 t"),
    ],
)  # fmt: skip
def test_a_defect_is_found_and_named(with_defect: Streams, defect: type[Defect], line: str) -> None:
    differences = with_defect(defect).differences
    assert any(re.search(line, found) for found in differences), differences[:9]
    assert all("\n" not in found for found in differences)


def test_a_stack_that_does_not_stream_is_found(urls: tuple[str, str]) -> None:
    found = compare(urls[0], urls[0], requests=FEW)
    assert found.unlisted == []
    assert found.stale[0].startswith("get-streams: GET: a prompt (and 1 more): no difference")


def test_a_defect_of_the_batch_stack_is_found_too(urls: tuple[str, str]) -> None:
    with relayed(urls[0], in_body(b'"text":"', b'"text":" ')) as url:
        differences = compare(url, urls[1], requests=FEW).differences
    assert any(found.startswith("POST: a prompt: legacy text of") for found in differences)


def test_a_stack_that_is_gone_is_a_difference(urls: tuple[str, str]) -> None:
    result = compare(urls[0], f"http://127.0.0.1:{free_port()}", requests=FEW)
    assert len(result.unlisted) == result.compared
    assert result.unlisted[0] == (
        "POST: a prompt: legacy 200 application/json, streaming no answer (ConnectionRefusedError)"
    )


def test_a_valid_request_that_both_refuse_is_a_difference(urls: tuple[str, str]) -> None:
    faulty = [("busy", ChatRequest(prompt="hi", model="sim:instant+429"))]
    found = compare(*urls, requests=faulty).unlisted
    assert found[0].startswith("POST: busy: legacy 503 upstream_rate_limited, though it is valid")


# A team's own endpoints.


def openai() -> Targets:
    return load_targets(OPENAI, KEY)


def test_a_teams_own_endpoints_are_compared_by_their_answers(upstream: Simulator) -> None:
    result = compare(upstream.url, upstream.url, openai())
    assert (result.compared, result.differences) == (len(questions()), [])


@pytest.mark.parametrize(
    ("defect", "differs"),
    [
        (in_body(b'"finish_reason":"stop"', b'"finish_reason":"length"'), True),
        (in_body(b'"content":"', b'"content":"!'), True),
        (in_body(b"[DONE]", b"[GONE]"), True),
        (with_header("content-type", "application/json"), True),
        (in_head(lambda head: replace(head, status=201)), True),
        (in_body(b'"completion_tokens":', b'"completion_tokens":1'), False),
        (in_body(b"chatcmpl-", b"cmpl-"), False),
    ],
)
def test_of_a_teams_own_only_the_answers_count(
    upstream: Simulator, defect: type[Defect], differs: bool
) -> None:
    with relayed(upstream.url, defect) as url:
        assert bool(compare(upstream.url, url, openai(), FEW).differences) == differs


def test_of_a_teams_own_the_shape_counts_too(upstream: Simulator) -> None:
    kept = compare(upstream.url, upstream.url, openai(), LONG)
    assert (kept.differences, kept.streams_timed) == ([], 1)
    with relayed(upstream.url, Buffered) as url:
        held = compare(upstream.url, url, openai(), LONG)
    assert len(held.differences) == 1
    assert re.match(r"a long answer: buffered: [\d,]+ characters came within", held.differences[0])


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"server": "nginx/1.22.1"}, " by a proxy (Server: nginx/1.22.1) or behind it"),
        ({"server": "uvicorn", "via": "1.1 edge"}, " by a proxy (Via: 1.1 edge) or behind it"),
        ({"server": "uvicorn"}, ""),
        ({}, ""),
    ],
)
def test_of_a_teams_own_the_headers_tell_of_a_proxy(headers: dict[str, str], named: str) -> None:
    reply = replace(AT_ONCE, headers={**AT_ONCE.headers, **headers})
    seen = Finding("a long answer", shape="buffered", timed=True, again=lambda _: reply)
    [found] = Asker(("http://127.0.0.1:1",) * 2, load_targets()).confirmed([seen])
    assert found.shape is not None
    assert found.shape.startswith(f"buffered{named}: 500 characters came within 100 ms, after ")


def test_a_model_that_does_not_repeat_itself_is_not_held_to_its_words(upstream: Simulator) -> None:
    ours = openai()
    headers = {**ours.streaming.headers, "X-Request-ID": "another-answer"}
    apart = msgspec.structs.replace(
        ours, streaming=msgspec.structs.replace(ours.streaming, headers=headers)
    )
    free = msgspec.structs.replace(apart, same_answers=False)
    assert len(compare(upstream.url, upstream.url, apart, FEW).differences) >= len(FEW)
    found = compare(upstream.url, upstream.url, free, FEW)
    assert (found.differences, found.alike) == ([], ANSWERED)
    with relayed(upstream.url, in_body(b"[DONE]", b"[GONE]")) as url:
        assert len(compare(upstream.url, url, free, FEW).differences) == len(FEW)


def test_a_key_in_the_targets_is_sent(stage: Stage) -> None:
    ours = load_targets()
    headers = {"Authorization": f"Bearer {GUARD}"}
    keyed = msgspec.structs.replace(
        ours,
        legacy=msgspec.structs.replace(ours.legacy, headers=headers),
        streaming=msgspec.structs.replace(ours.streaming, headers=headers),
    )
    guarded = tuple(stack.url for stack in stage.stacks.values())
    assert compare(guarded[0], guarded[1], keyed, FEW).differences == []
    assert compare(guarded[0], guarded[1], ours, FEW).differences != []


def given(urls: tuple[str, str]) -> tuple[str, ...]:
    return ("--legacy-url", urls[0], "--streaming-url", urls[1])


def test_given_addresses_are_asked_the_small_set(urls: tuple[str, str], tmp_path: Path) -> None:
    done = parity(tmp_path, *given(urls))
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (summary["unlisted"], summary["stale"]) == ([], [])
    assert summary["compared"] >= 4 * len(questions())
    assert f"Parity: {summary['compared']} requests, " in done.stdout


def test_given_addresses_may_be_those_of_nginx(urls: tuple[str, str], tmp_path: Path) -> None:
    with (
        proxied(tmp_path / "a", urls[:1]) as legacy,
        proxied(tmp_path / "b", urls[1:]) as streaming,
    ):
        found = compare(legacy.url, streaming.url, requests=FEW)
    assert found.differences == []
    assert "streams-pass-nginx" not in found.listed


def test_the_command_fails_when_the_answers_differ(urls: tuple[str, str], tmp_path: Path) -> None:
    done = parity(tmp_path, *given((urls[0], urls[0])))
    assert done.returncode == 1
    assert "stale: get-streams: GET: a prompt (and " in done.stdout
    assert json.loads((tmp_path / "summary.json").read_text("utf-8"))["stale"]


def test_the_command_refuses_an_address_that_nobody_listens_at(tmp_path: Path) -> None:
    done = parity(tmp_path, *given((f"http://127.0.0.1:{free_port()}",) * 2))
    assert done.returncode == 2
    assert done.stderr.startswith("parity: LEGACY_URL=")
    assert len(done.stderr.splitlines()) == 1
