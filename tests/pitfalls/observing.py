"""Tries entries on the FastAPI of its own environment; writes a line of JSON for each to standard output."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

from loadtests.interrupt import interruptible
from tests.pitfalls.catalogue import Entry, Observation, Sighting, entry_of
from tests.pitfalls.ground import Ground

ENTRY_S = 60.0
PACKAGES = ("fastapi", "starlette", "pydantic", "uvicorn", "flask", "gunicorn")


def main(entries: list[str]) -> int:
    """The versions first, then a line for each of `entries`, which are names; 130 when interrupted."""
    with _report() as report, interruptible():
        print(json.dumps({name: version(name) for name in PACKAGES}), file=report, flush=True)
        for name in entries:
            print(json.dumps(asdict(sighting(name))), file=report, flush=True)
    return 0


@contextmanager
def _report() -> Iterator[Any]:
    """Standard output for the report alone: whatever else is printed goes where errors go."""
    with os.fdopen(os.dup(1), "w") as report:
        os.dup2(2, 1)
        yield report


def sighting(name: str) -> Sighting:
    """What the entry of this name shows within ENTRY_S; an entry that raises is a sighting of nothing."""
    try:
        return Sighting(observed(entry_of(name)))
    except Exception as error:  # noqa: BLE001  # whatever an entry raises is its result
        return Sighting(None, f"{type(error).__name__}: {error}".splitlines()[0])


def observed(entry: Entry, limit_s: float = ENTRY_S) -> Observation:
    """Raises TimeoutError when it takes longer than `limit_s`, and what the entry raises."""
    with tempfile.TemporaryDirectory() as folder, _limit(limit_s):
        return entry.observe(Ground(Path(folder)))


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def over(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def told(line: str) -> Sighting:
    """A line of the report, read back."""
    read = json.loads(line)
    return Sighting(Observation(**read["seen"]) if read["seen"] else None, read["raised"])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
