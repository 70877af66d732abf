"""A command of the harness as a person gives it: started, refused, interrupted."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from loadtests.__main__ import main
from tests.servers import ROOT

Process = subprocess.Popen[str]
Ready = Callable[[Process], None]


def started(command: str, *options: str) -> Process:
    """`python -m loadtests <command>`."""
    return subprocess.Popen(
        [sys.executable, "-m", "loadtests", command, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(
    command: str,
    options: Sequence[str],
    said: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A bad option is one line and status 2, and nothing is written."""
    out = folder / "run"
    status = main([command, "--out", str(out), *options])
    printed, errors = capsys.readouterr()
    assert (status, printed, errors.count("\n")) == (2, "", 1)
    assert said in errors
    assert not out.exists()


def told(text: str) -> Ready:
    """Returns when the command has printed this."""

    def ready(run: Process) -> None:
        assert run.stdout is not None
        while text not in (line := run.stdout.readline()):
            assert line, run.communicate()

    return ready


def grown(count: int) -> Ready:
    """Returns when the command has so many processes."""

    def ready(run: Process) -> None:
        while len(psutil.Process(run.pid).children(recursive=True)) < count:
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(0.1)

    return ready


def interrupted(run: Process, ready: Ready, out: Path, least: int) -> None:
    """Ctrl-C, once it is ready and has at least so many processes, stops all of them, and nothing is kept."""
    try:
        ready(run)
        children = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGINT)
        printed, errors = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130, errors
    assert "Interrupted" in printed
    assert not (out / "summary.json").exists()
    assert len(children) >= least
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
