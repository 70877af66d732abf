"""`make compare` from outside: on given endpoints, refused by its gate, interrupted, with bad options."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from loadtests.__main__ import main
from tests.servers import ROOT, Simulator, app, free_port, simulator

OPENAI = ROOT / "examples" / "openai_compatible.toml"


def _start(*options: str, **environment: str) -> subprocess.Popen[str]:
    return _python("-m", "loadtests", *options, **environment)


def _python(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(run: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = run.communicate(timeout=120)
    return run.returncode, out, err


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("provider"), profile="instant") as running:
        yield running


def _given(url: str, out: Path, *more: str) -> tuple[str, ...]:
    urls = ("--legacy-url", url, "--streaming-url", url)
    return ("run", *urls, "--requests", "120", "--users", "2", "--out", str(out), *more)


@pytest.fixture(scope="module")
def compared(
    provider: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[int, str, str]]:
    """A run of a team's own endpoints, where another one has been, and how it ended."""
    out = tmp_path_factory.mktemp("compared") / "run"
    out.mkdir()
    (out / "summary.json").write_text("{}")
    run = _start(*_given(provider.url, out, "--targets", str(OPENAI)), OPENAI_API_KEY="any")
    return out, _finish(run)


def test_a_teams_own_endpoints_are_compared(compared: tuple[Path, tuple[int, str, str]]) -> None:
    out, (status, printed, errors) = compared
    summary = json.loads((out / "summary.json").read_bytes())
    assert summary["answers"] == {"compared": 120, "identical": 120}, errors
    assert [stack["errors"] for stack in summary["stacks"].values()] == [0, 0]
    # Whether the harness kept up is for the machine to say; that the run says it, is for the test.
    assert status == (0 if summary["valid"] else 1)
    assert str(out / "report.html") in printed


def test_a_run_moves_the_one_before_it_aside(compared: tuple[Path, tuple[int, str, str]]) -> None:
    out, _ = compared
    assert (out.with_name("run.previous") / "summary.json").read_text() == "{}"


def test_without_parity_no_load_is_sent(provider: Simulator, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with app("legacy_flask", tmp_path, provider.base_url) as batch_only:
        status, _, errors = _finish(_start(*_given(batch_only.url, out)))
    assert status == 1
    assert "do not answer alike" in errors
    assert not (out / "samples.jsonl").exists()


SOON = """
import sys
from loadtests import replay
from loadtests.__main__ import main
replay.HANDLING_REQUESTS = 50
sys.exit(main(sys.argv[1:]))
"""
"""What comes before the first counted request is measured as ever, and sooner done."""


def test_an_interrupted_run_stops_what_it_started_and_keeps_its_samples(tmp_path: Path) -> None:
    out = tmp_path / "run"
    counted = ("--requests", "4000", "--users", "8", "--profile", "instant")
    run = _python("-c", SOON, "run", *counted, "--out", str(out))
    kept = out / "samples.jsonl"
    started: list[psutil.Process] = []
    try:
        while not (kept.exists() and kept.stat().st_size):
            assert run.poll() is None, run.communicate()
            started = psutil.Process(run.pid).children(recursive=True)
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(0.2)
        run.send_signal(signal.SIGINT)
        status, printed, errors = _finish(run)
    finally:
        run.kill()
    assert status == 130, errors
    assert "the samples so far are kept" in printed
    assert json.loads((out / "summary.json").read_bytes())["invalid_reasons"][0] == (
        "the run was interrupted"
    )
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--requests", "abc"), "REQUESTS=abc"),
        (("--requests", "0"), "REQUESTS=0"),
        (("--requests", "1; echo injected"), "REQUESTS=1; echo injected"),
        (("--users", "0"), "USERS=0"),
        (("--users=-1",), "USERS=-1"),
        (("--users", "1.5"), "USERS=1.5"),
        (("--seed", "x"), "SEED=x"),
        (("--workers", "0"), "WORKERS=0"),
        (("--profile", "nonsense"), "PROFILE=nonsense"),
        (("--rate", "fast"), "RATE=fast"),
        (("--corpus", "/nowhere.jsonl"), "CORPUS=/nowhere.jsonl"),
        (("--targets", "/nowhere.toml"), "TARGETS=/nowhere.toml"),
        (("--legacy-url", "http://127.0.0.1:9"), "go together"),
        (("--streaming-url", "http://127.0.0.1:9/"), "go together"),
        (("--legacy-url", "not a url"), "LEGACY_URL=not a url"),
        (("--legacy-url", "ftp://x", "--streaming-url", "ftp://x"), "LEGACY_URL=ftp://x"),
    ],
)
def test_a_bad_option_is_one_line_before_anything_starts(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    status = main(["run", "--out", str(out), *options])
    printed, errors = capsys.readouterr()
    assert (status, printed) == (2, "")
    assert said in errors
    assert errors.count("\n") == 1
    assert not out.exists()


def test_an_unreachable_url_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    status, _, errors = _finish(_start(*_given(url, tmp_path / "run")))
    assert status == 2
    assert f"LEGACY_URL={url}: cannot be reached" in errors


def test_a_malformed_corpus_line_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"prompt": "fine"}\n{"prompt": 5}\n')
    assert main(["run", "--corpus", str(corpus), "--out", str(tmp_path / "run")]) == 2
    assert f"{corpus}:2" in capsys.readouterr().err
