"""The processes of a run: started pinned, asked whether they are ready, measured, and stopped by their id."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

READY_S = 30.0
STOP_S = 15.0


class StartError(Exception):
    """A process did not come up; says which, and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The processor cores of each part; empty means wherever the kernel likes."""

    app: frozenset[int]
    simulator: frozenset[int]
    client: frozenset[int]


def deal_cores(available: Sequence[int], workers: int) -> Cores:
    """The app by itself, then the simulator by itself, then the client; both stacks get the same cores."""
    if len(available) < 2:
        return Cores(frozenset(), frozenset(), frozenset())
    count = max(1, min(workers, len(available) - 2))
    app, rest = available[:count], available[count:]
    client = rest[1:] or rest
    return Cores(frozenset(app), frozenset(rest[:1]), frozenset(client))


def available_cores() -> list[int]:
    """The cores that this process may use; none where the system cannot pin (macOS)."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Keeps this process on these cores; a child that it starts inherits that."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Child:
    """A process in a process group of its own, so that Ctrl-C reaches it through us only.

    The session stays ours: Linux weighs sessions alike, and `nice` counts only between processes of one.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        *,
        environment: dict[str, str] | None = None,
        cores: frozenset[int] = frozenset(),
        piped: bool = False,
        nice: int = 0,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with pinned(cores), log.open("ab") as sink:
            self.process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else sink,
                stderr=sink,
                env=os.environ | (environment or {}),
                process_group=0,
            )
        psutil.Process(self.pid).nice(nice)

    @property
    def pid(self) -> int:
        return self.process.pid

    def readline(self) -> str:
        """The next line of a piped child's output; empty at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def stop(self, first: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to end, then makes it; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(first)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._kill_group()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def failed(self, what: str) -> StartError:
        tail = self.log.read_text(errors="replace").strip().splitlines()[-5:]
        return StartError(f"{self.name} {what}; the end of {self.log}:\n  " + "\n  ".join(tail))


def await_ready(child: Child, url: str) -> None:
    """Returns when `url` answers 200; raises StartError when the process ends or READY_S have passed."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if child.process.poll() is not None:
            raise child.failed(f"ended with status {child.process.returncode}")
        with contextlib.suppress(urllib.error.URLError, OSError):
            if urllib.request.urlopen(url, timeout=1).status == 200:
                return
        time.sleep(0.05)
    raise child.failed(f"was not ready within {READY_S:.0f} s")


def await_listening(child: Child, port: int) -> None:
    """Returns when something listens on a port of this host; raises StartError as `await_ready` does."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if child.process.poll() is not None:
            raise child.failed(f"ended with status {child.process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise child.failed(f"did not listen within {READY_S:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _tree(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, of a process and its children so far, by the kernel's accounting."""
    total = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def rss_mib(pid: int) -> float:
    """Resident memory of a process and its children now, in MiB.

    Pages that a forked worker shares with its parent are counted once (the kernel's proportional set size),
    where the system tells; else every process counts all of its own.
    """
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
    return total / 2**20
