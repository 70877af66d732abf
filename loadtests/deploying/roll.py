"""One backend taken out, and put back: told to drain, stopped, started, ready."""

import asyncio
import signal
import time

import msgspec

from loadtests.deploying.site import Backend
from loadtests.processes import READY_S
from loadtests.streams import Asking, take
from shared.telemetry import IN_FLIGHT

LOOK_S = 0.02
STOP_S = 90.0


class Rolled(msgspec.Struct, frozen=True):
    """`answers` were under way when it was told; `unready_ms` is None where no probe saw it refuse."""

    backend: str
    answers: int
    unready_ms: float | None
    stopped_s: float
    status: int
    ready_s: float


async def roll(backend: Backend, first: signal.Signals = signal.SIGTERM) -> Rolled:
    """Raises StartError when it does not stop, or does not come back."""
    answers = await _in_flight(backend)
    told_ns = time.monotonic_ns()
    backend.child.process.send_signal(first)
    unready_ns, stopped_ns = await _stopped(backend)
    status = backend.child.process.returncode
    backend.start()
    await _ready(backend)
    return Rolled(
        backend.name,
        answers,
        unready_ms=None if unready_ns is None else round((unready_ns - told_ns) / 1e6, 1),
        stopped_s=_seconds(told_ns, stopped_ns),
        status=status,
        ready_s=_seconds(backend.started_ns, time.monotonic_ns()),
    )


async def _stopped(backend: Backend) -> tuple[int | None, int]:
    """When its /readyz first said 503, and when it was gone."""
    deadline = time.monotonic() + STOP_S
    unready_ns = None
    while backend.child.process.poll() is None:
        if time.monotonic() > deadline:
            raise backend.child.failed(f"did not stop within {STOP_S:.0f} s")
        if unready_ns is None and await _status(backend) == 503:
            unready_ns = time.monotonic_ns()
        await asyncio.sleep(LOOK_S)
    return unready_ns, time.monotonic_ns()


async def _ready(backend: Backend) -> None:
    deadline = time.monotonic() + READY_S
    while await _status(backend) != 200:
        if backend.child.process.poll() is not None or time.monotonic() > deadline:
            raise backend.child.failed("did not come back")
        await asyncio.sleep(LOOK_S)


async def _status(backend: Backend) -> int:
    [taken] = await take(backend.port, (Asking("readyz", target="/readyz", headers=()),))
    return taken.status


async def _in_flight(backend: Backend) -> int:
    [taken] = await take(backend.port, (Asking("metrics", target="/metrics", headers=()),))
    values = dict(line.split(" ", 1) for line in taken.body.decode().splitlines() if line[0] != "#")
    return int(float(values[IN_FLIGHT]))


def _seconds(begin_ns: int, end_ns: int) -> float:
    return round((end_ns - begin_ns) / 1e9, 3)
