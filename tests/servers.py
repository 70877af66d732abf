"""Real servers for the tests: child processes on free ports, stopped by their own process id."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.provoking.upstream import get

ROOT = Path(__file__).parents[1]
START_S = 30.0
STOP_S = 15.0
PAUSE_S = 0.02
KEY = "sk-test-0123456789-never-log-this"
Record = dict[str, Any]


class ServerFailed(Exception):
    """A server that did not start, or did not stop when it was asked to."""


@dataclass
class Server:
    """A running child; `url` ends without a slash, `log` is what it wrote to stdout and stderr."""

    name: str
    url: str
    process: subprocess.Popen[bytes] = field(repr=False)
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def logged(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    def logs(self, *texts: str, within_s: float = 5.0) -> str:
        """The log, once it has all these texts: it may be written after the answer was sent."""
        deadline = time.monotonic() + within_s
        while missing := [text for text in texts if text not in self.logged()]:
            if time.monotonic() > deadline or _exits(self.process, PAUSE_S):
                raise AssertionError(f"{missing} not in the log of {self.name}\n{self.logged()}")
        return self.logged()

    def stop(self) -> int:
        """Sends SIGTERM, returns the exit status; raises ServerFailed when it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise ServerFailed(f"{self.name} ignored SIGTERM for {STOP_S:g} s") from None


@dataclass
class Simulator(Server):
    """The simulated provider, with the records it has given away so far by request id."""

    records: dict[str, list[Record]] = field(default_factory=dict, repr=False)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def seen(self, request_id: str) -> list[Record]:
        """The ended upstream requests that carried this X-Request-ID, oldest first."""
        for line in get(self.url, "/control/timeline").decode().splitlines():
            record: Record = json.loads(line)
            self.records.setdefault(record["request_id"], []).append(record)
        return self.records.get(request_id, [])

    def ended(self, request_id: str, within_s: float = 5.0) -> Record:
        """Waits for the first upstream request with this id to end; raises TimeoutError."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if records := self.seen(request_id):
                return records[0]
            self._pause()
        raise TimeoutError(f"the simulator saw no end of {request_id} within {within_s:g} s")

    def in_flight(self, count: int, within_s: float = 5.0) -> None:
        """Waits until exactly this many requests are being answered; raises TimeoutError."""
        deadline = time.monotonic() + within_s
        while (now := json.loads(get(self.url, "/control/stats"))["in_flight"]) != count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{now} requests are in flight, and {count} were expected")
            self._pause()

    def _pause(self) -> None:
        if not _exits(self.process, PAUSE_S):
            return
        raise ServerFailed(f"the simulator died\n{self.logged()}")


@contextmanager
def simulator(directory: Path, *options: str, profile: str = "instant") -> Iterator[Simulator]:
    """`python -m loadtests simulate`, listening."""
    arguments = ["loadtests", "simulate", "--profile", profile, "--port", "0", *options]
    with _child("simulator", arguments, directory, {}) as (process, log):
        ready = json.loads(_first_line(process, log))
        yield Simulator("simulator", ready["url"].removesuffix("/v1"), process, log)


@contextmanager
def app(
    name: str,
    directory: Path,
    upstream: str | None,
    settings: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """`python -m legacy_flask` or `fastapi_app`, ready; without an upstream URL it is scripted."""
    port = free_port()
    environment = {"OPENAI_BASE_URL": upstream, "OPENAI_API_KEY": KEY} if upstream else {}
    arguments = [name, "--host", "127.0.0.1", "--port", str(port), *options]
    with serving(name, arguments, port, directory, {**environment, **(settings or {})}) as server:
        yield server


@contextmanager
def serving(
    name: str,
    arguments: Sequence[str],
    port: int,
    directory: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """`python -m <arguments>`, once its /readyz at this port answers 200."""
    with _child(name, arguments, directory, environment or {}) as (process, log):
        server = Server(name, f"http://127.0.0.1:{port}", process, log)
        _wait_ready(server)
        yield server


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _child(
    name: str, arguments: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = directory / f"{name}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**_clean_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, log
    finally:
        Server(name, "", process, log).stop()


def _clean_environment() -> dict[str, str]:
    ours = ("CHAT_", "OPENAI_", "REDIS_", "WEB_CONCURRENCY", "GUNICORN_", "UVICORN_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _first_line(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        line, end, _ = log.read_text("utf-8").partition("\n")
        if end:
            return line
        if _exits(process, PAUSE_S):
            break
    raise ServerFailed(f"no address within {START_S:g} s\n{log.read_text('utf-8')}")


def _wait_ready(server: Server) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            get(server.url, "/readyz")
        except (OSError, http.client.HTTPException):
            if _exits(server.process, PAUSE_S):
                break
        else:
            return
    raise ServerFailed(f"{server.name} is not ready\n{server.logged()}")


def _exits(process: subprocess.Popen[bytes], within_s: float) -> bool:
    """Waits this long at most, and no longer than the process lives."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True
