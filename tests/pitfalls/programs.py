"""Programs that an entry needs beside its apps: run on a free port, stopped by their process id."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

START_S = 30.0
STOP_S = 10.0
PAUSE_S = 0.02


class ProgramMissing(Exception):
    """A program that is not installed; the text says how to get it."""


class ProgramFailed(Exception):
    """A program that did not start; the text has what it wrote."""


def path_of(*names: str, package: str) -> str:
    """Where the first of these programs is; raises ProgramMissing."""
    for name in names:
        if path := shutil.which(name):
            return path
    raise ProgramMissing(f"{names[0]} is not installed; on Debian: apt-get install {package}")


@contextmanager
def running(arguments: Sequence[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program in this folder, once it listens; raises ProgramFailed."""
    log = folder / "program.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_listens(process, port, log)
        yield process
    finally:
        stop(process)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(PAUSE_S)
    written = log.read_text("utf-8", errors="replace")
    raise ProgramFailed(f"{process.args!r} does not listen\n{written}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks it to end, and ends it when it does not."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
