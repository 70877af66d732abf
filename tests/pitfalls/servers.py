"""gunicorn as a child process, for entries that depend on its workers."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.pitfalls.programs import stop

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Gunicorn:
    """A running gunicorn; `log` is what it wrote to stdout and stderr."""

    url: str
    log: Path

    def logged(self, text: str) -> bool:
        return text in self.log.read_text("utf-8", errors="replace")


@contextmanager
def gunicorn(
    folder: Path, application: str, worker_class: str, *options: str
) -> Iterator[Gunicorn]:
    """`application` as gunicorn loads it, module:factory(); requests wait in the backlog until it is up."""
    log = folder / f"gunicorn-{worker_class}.log"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = _start(listener, log, application, "--worker-class", worker_class, *options)
    try:
        yield Gunicorn(url, log)
    finally:
        stop(process)


def _start(
    listener: socket.socket, log: Path, application: str, *options: str
) -> subprocess.Popen[bytes]:
    bind = ["--bind", f"fd://{listener.fileno()}"]
    ending = ["--graceful-timeout", "1", "--no-control-socket"]
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "gunicorn", application, *bind, *ending, *options],
            cwd=ROOT,
            env={key: value for key, value in os.environ.items() if not key.startswith("GUNICORN")},
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
