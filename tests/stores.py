"""Real redis-servers that keep nothing: each on a free port, stopped by its process id."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.pitfalls.programs import ProgramMissing, path_of, running
from tests.servers import free_port

_PACKAGE = "redis-server"


class RedisServer:
    """Can be killed, paused, and started again at the same address, empty."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._home = Path(tempfile.mkdtemp(prefix="redis-", dir=folder))
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--save", "", "--appendonly", "no", "--dir", str(self._home)]
        self._held = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it listens."""
        self._process = self._held.enter_context(running(self._command, self.port, self._home))

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def pause(self) -> None:
        """It keeps its connections, and takes new ones, and answers none."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        self.resume()
        self._held.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A running one; raises ProgramMissing."""
    server = RedisServer(path_of(_PACKAGE, package=_PACKAGE), folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def redis_for_a_test(folder: Path) -> Iterator[RedisServer]:
    """A running one; where redis-server is not installed, the test is skipped in one line that says so."""
    try:
        path_of(_PACKAGE, package=_PACKAGE)
    except ProgramMissing as missing:
        pytest.skip(str(missing))
    with redis_server(folder) as server:
        yield server
