"""A redis-server of a run's own, on a free port of this host, that keeps nothing on disk."""

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from loadtests.processes import READY_S, Child, StartError, free_port

LOOK_S = 0.02


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Its URL, once it listens; its log is `redis-server.log` in the folder. Raises StartError."""
    program, port = shutil.which("redis-server"), free_port()
    if program is None:
        raise StartError("redis-server is not installed; on Debian: apt-get install redis-server")
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    child = Child("redis-server", (program, *options), folder / "redis-server.log")
    try:
        _await_listening(child, port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        child.stop()


def _await_listening(child: Child, port: int) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and child.process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(LOOK_S)
    raise child.failed("does not listen")
