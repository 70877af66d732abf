"""One stretch of a replay: a Locust process that follows a plan, its progress, and what it cost."""

import json
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.processes import Child
from loadtests.scenarios import Plan

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
GIVING_WAY = 10
"""Where the load shares a core with the simulator, a token that is due goes before an answer that is read."""
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a stretch took: wall seconds, and CPU seconds of the load processes."""

    wall_s: float
    client_cpu_s: float


def follow(plan: Plan, cores: frozenset[int], on_progress: OnProgress) -> Stretch:
    """Runs a plan to its end, calling `on_progress(done, errors)` once a second.

    Raises StartError when Locust fails. On KeyboardInterrupt Locust is told to stop, its samples are
    waited for, and the interrupt goes on.
    """
    out = Path(plan.out)
    path = out / "logs" / f"plan-{plan.stack}-{plan.phase}.json"
    path.write_bytes(msgspec.json.encode(plan))
    began, cpu = time.monotonic(), _children_cpu_s()
    log = out / "logs" / "locust.log"
    child = Child("locust", _command(plan, path), log, cores=cores, piped=True, nice=GIVING_WAY)
    try:
        while line := child.readline():
            _report(line, on_progress)
        status = child.process.wait()
    finally:
        # Locust answers SIGINT by writing what it has.
        child.stop(signal.SIGINT)
    if status != 0:
        raise child.failed(f"ended with status {status}")
    return Stretch(time.monotonic() - began, _children_cpu_s() - cpu)


def _command(plan: Plan, path: Path) -> list[str]:
    # An open loop needs one user a worker, to dispatch; a closed loop needs them all.
    users = plan.workers if plan.rate else plan.users
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless"]
    command += ["--plan", str(path), "--users", str(users), "--spawn-rate", str(users)]
    command += ["--host", plan.url, "--only-summary", "--loglevel", "WARNING"]
    return command if plan.workers == 1 else [*command, "--processes", str(plan.workers)]


def _report(line: str, on_progress: OnProgress) -> None:
    if line.startswith("{"):
        progress = json.loads(line)
        on_progress(progress["done"], progress["errors"])


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
