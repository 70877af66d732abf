"""`make deploy-check`: what `deploy/` ships, read by the programs that it is for."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from loadtests.nginx import PLACES, ChangeError, Ports, program, written
from loadtests.processes import StartError

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
INSTALLED = "/opt/chat"
STACKS = (["http://127.0.0.1:8002", "http://127.0.0.1:8003"], ["http://127.0.0.1:8001"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=DEPLOY, help="what is checked")


def main(arguments: argparse.Namespace) -> int:
    """0 when every program takes its file; 1, with its words, when not, or when it is missing in CI."""
    problems = []
    for needed, check in CHECKS:
        missing = [name for name in needed if shutil.which(name, path=PLACES) is None]
        if missing and "CI" not in os.environ:
            print(f"deploy: no {missing[0]} here, so what it reads is not checked", file=sys.stderr)
        else:
            problems += _problems(check, arguments.folder)
    for line in problems:
        print(f"deploy: {line}", file=sys.stderr)
    return 1 if problems else 0


def _problems(check: Callable[[Path, Path], list[str]], folder: Path) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="deploy-") as home:
        try:
            return check(folder, Path(home))
        except (StartError, ChangeError, OSError) as error:
            return [str(error)]


def nginx(folder: Path, home: Path) -> list[str]:
    """What `nginx -t` has against nginx.conf with this machine's addresses; warnings count."""
    shipped = folder / "nginx.conf"
    conf = written(home, Ports.free(), *STACKS, shipped=shipped)
    said = _said([program("nginx"), "-t", "-q", "-e", "stderr", "-c", str(conf)])
    return [line.replace(str(conf), str(shipped)) for line in said]


def systemd(folder: Path, home: Path) -> list[str]:
    """What `systemd-analyze verify` has against the units, as if this folder were installed; warnings count."""
    for unit in folder.glob("*.service"):
        (home / unit.name).write_text(unit.read_text("utf-8").replace(INSTALLED, str(ROOT)))
    units = sorted(map(str, home.iterdir()))
    said = _said([program("systemd-analyze"), "verify", *units])
    return [line.replace(str(home), str(folder)) for line in said]


def gunicorn(folder: Path, home: Path) -> list[str]:
    """What gunicorn has against its configuration and the app that it names."""
    conf = folder / "gunicorn.conf.py"
    command = [sys.executable, "-m", "gunicorn", "-c", str(conf), "--check-config"]
    return _said(command, cwd=ROOT)


def _said(command: list[str], cwd: Path | None = None) -> list[str]:
    """The lines that a check writes; its status where it fails without a word."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return lines or ([f"ended with status {done.returncode}"] if done.returncode else [])


CHECKS: tuple[tuple[tuple[str, ...], Callable[[Path, Path], list[str]]], ...] = (
    (("nginx", "openssl"), nginx),
    (("systemd-analyze",), systemd),
    ((), gunicorn),
)
