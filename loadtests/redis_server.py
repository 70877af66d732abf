"""A redis-server of a run's own, on a free port of this host, that keeps nothing on disk."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from loadtests.processes import Child, StartError, await_listening, free_port


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Its URL, once it listens; its log is `redis-server.log` in the folder. Raises StartError."""
    program, port = shutil.which("redis-server"), free_port()
    if program is None:
        raise StartError("redis-server is not installed; on Debian: apt-get install redis-server")
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    child = Child("redis-server", (program, *options), folder / "redis-server.log")
    try:
        await_listening(child, port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        child.stop()
