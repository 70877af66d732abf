"""What a simulated token costs, and how well the simulator keeps its deadlines under many streams."""

import argparse
import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop
from rich.console import Console
from rich.table import Table

from loadtests.profiles import PROFILES, Profile

CPU_US_PER_TOKEN = 10.0
DEADLINE_MISS_P99_MS = 2.0
_END = b"data: [DONE]\n\n\r\n0\r\n\r\n"
_SLACK_S = 10.0
_READ_BUFFER = bytearray(256 * 1024)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; CPU is the kernel's accounting of the simulator's process."""

    streams: int
    profile: str
    answers: int
    tokens: int
    seconds: float
    cpu_s: float
    deadline_miss_ms: dict[str, float]

    @property
    def cpu_us_per_token(self) -> float:
        return self.cpu_s * 1e6 / max(self.tokens, 1)

    @property
    def failures(self) -> list[str]:
        """Targets that are not met."""
        expected = self.answers * PROFILES[self.profile].tokens
        late = self.deadline_miss_ms["p99"]
        checks = {
            f"{self.cpu_us_per_token:.1f} us of CPU a token, the target is at most {CPU_US_PER_TOKEN:g}": (
                self.cpu_us_per_token <= CPU_US_PER_TOKEN
            ),
            f"p99 of deadline misses {late:.2f} ms, the target is at most {DEADLINE_MISS_P99_MS:g}": (
                late <= DEADLINE_MISS_P99_MS
            ),
            f"{self.tokens} tokens were written, {expected} were planned": self.tokens == expected,
        }
        return [text for text, holds in checks.items() if not holds]

    def summary(self) -> dict[str, Any]:
        return {
            "streams": self.streams,
            "profile": self.profile,
            "answers": self.answers,
            "tokens": self.tokens,
            "measured_s": round(self.seconds, 3),
            "cpu_us_per_token": round(self.cpu_us_per_token, 3),
            "cpu_share": round(self.cpu_s / self.seconds, 4),
            "deadline_miss_ms": self.deadline_miss_ms,
            "targets": {
                "cpu_us_per_token": CPU_US_PER_TOKEN,
                "deadline_miss_p99_ms": DEADLINE_MISS_P99_MS,
            },
            "holds": not self.failures,
            "failures": self.failures,
        }


class Reader(asyncio.BufferedProtocol):
    """A client that only looks for the end of an answer, and then asks again."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def get_buffer(self, sizehint: int) -> bytearray:
        return _READ_BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._tail = (self._tail + _READ_BUFFER[max(0, nbytes - len(_END)) : nbytes])[-len(_END) :]
        if self._tail == _END:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(
                exc or ConnectionError("the simulator closed the connection")
            )

    def _ask(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.finished.set_result(None)
            self._transport.close()
        else:
            self._transport.write(request)


async def read(
    host: str, port: int, profile: Profile, streams: int, rounds: int, ramp_s: float
) -> None:
    """Reads `rounds` answers on each of `streams` connections, which begin evenly spread over `ramp_s` seconds.

    Raises TimeoutError when the answers take far longer than planned.
    """
    loop = asyncio.get_running_loop()

    async def one(index: int) -> None:
        await asyncio.sleep(ramp_s * index / streams)
        requests = (_request(f"bench-{index:04d}-{turn}") for turn in range(rounds))
        _, reader = await loop.create_connection(lambda: Reader(requests), host, port)
        await reader.finished

    longest_s = (profile.first_token_ms + profile.generation_ms) / 1e3
    async with asyncio.timeout(ramp_s + rounds * (longest_s + _SLACK_S)):
        await asyncio.gather(*map(one, range(streams)))


def _request(request_id: str) -> bytes:
    messages = [{"role": "user", "content": f"What costs a token? ({request_id})"}]
    body = json.dumps({"model": "sim", "stream": True, "messages": messages}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: simulator\r\nContent-Type: application/json\r\n"
        f"X-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def simulator(profile: str) -> Iterator[tuple[str, int]]:
    """Host and port of a simulator in a process of its own."""
    command = [sys.executable, "-m", "loadtests.simulator", "--profile", profile]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            url = urlsplit(json.loads(process.stdout.readline())["url"])
            yield str(url.hostname), int(url.port or 0)
        finally:
            process.terminate()


def measure(profile: str, streams: int, rounds: int, ramp_s: float) -> Figures:
    """One run against a fresh simulator."""
    with simulator(profile) as (host, port):
        _stats(host, port)
        started = time.monotonic()
        uvloop.run(read(host, port, PROFILES[profile], streams, rounds, ramp_s))
        seconds = time.monotonic() - started
        stats = _stats(host, port)
    return Figures(
        streams=streams,
        profile=profile,
        answers=stats["requests"],
        tokens=stats["tokens_written"],
        seconds=seconds,
        cpu_s=stats["cpu_s"],
        deadline_miss_ms=stats["deadline_miss_ms"],
    )


def _stats(host: str, port: int) -> Any:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/control/stats?reset=1")
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def table(figures: Figures) -> Table:
    """The figures beside their targets."""
    miss = figures.deadline_miss_ms
    shown = Table(title=f"Simulator: {figures.streams} streams, profile {figures.profile}")
    for title in ("", "measured", "target"):
        shown.add_column(title, justify="left" if not title else "right")
    shown.add_row(
        "CPU a token", f"{figures.cpu_us_per_token:.1f} us", f"<= {CPU_US_PER_TOKEN:g} us"
    )
    shown.add_row("deadline miss p99", f"{miss['p99']:.2f} ms", f"<= {DEADLINE_MISS_P99_MS:g} ms")
    shown.add_row("deadline miss p50", f"{miss['p50']:.2f} ms", "")
    shown.add_row("deadline miss max", f"{miss['max']:.2f} ms", "")
    shown.add_row("tokens", f"{figures.tokens:,}", "")
    shown.add_row("share of a core", f"{figures.cpu_s / figures.seconds:.0%}", "")
    return shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=_positive, default=250)
    parser.add_argument("--rounds", type=_positive, default=2, help="answers on each connection")
    parser.add_argument("--profile", choices=PROFILES, default="article")
    parser.add_argument("--ramp", type=float, default=2.0, help="seconds over which streams begin")
    parser.add_argument("--out", type=Path, default=Path("out/bench-simulator"))


def main(args: argparse.Namespace) -> int:
    figures = measure(args.profile, args.streams, args.rounds, args.ramp)
    Console().print(table(figures))
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "summary.json"
    path.write_text(json.dumps(figures.summary(), indent=2) + "\n")
    print(path)
    for failure in figures.failures:
        print(f"bench-simulator: {failure}", file=sys.stderr)
    return 1 if figures.failures else 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value
