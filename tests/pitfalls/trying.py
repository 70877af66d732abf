"""Entries tried in a child with each Python that is asked for, and what was seen there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from loadtests.processes import Child
from tests.pitfalls.catalogue import Entry, Sighting, name_of
from tests.pitfalls.observing import told

START_S = 3.0
BROKEN, UNUSABLE, INTERRUPTED = 1, 2, 130


@dataclass(slots=True)
class Line:
    """One line of FastAPI: its versions, and what was seen on it."""

    versions: dict[str, str] = field(default_factory=dict)
    sightings: dict[str, Sighting] = field(default_factory=dict)


def tried(
    entries: Sequence[Entry], pythons: Mapping[str, Path], out: Path, console: Console
) -> dict[str, Line]:
    """What the entries show with each Python, under its name; a child writes its log to `<out>/<name>.log`."""
    listed = [name_of(entry) for entry in entries]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TextColumn("{task.fields[entry]}"), console=console) as progress:
        bars = {name: progress.add_task(name, total=len(listed), entry="") for name in pythons}
        return {
            name: _one_line(python, listed, out / f"{name}.log", progress, bars[name])
            for name, python in pythons.items()
        }


def _one_line(python: Path, listed: list[str], log: Path, progress: Progress, bar: TaskID) -> Line:
    """Everything in one child; where it ends early, what is left was not seen."""
    log.unlink(missing_ok=True)
    child = Child(
        log.stem, [str(python), "-m", "tests.pitfalls.observing", *listed], log, piped=True
    )
    line = Line()
    try:
        line.versions = json.loads(child.readline() or "{}")
        progress.update(bar, description=f"FastAPI {line.versions.get('fastapi', '?')}")
        for name in listed:
            progress.update(bar, entry=name)
            line.sightings[name] = _next(child)
            progress.advance(bar)
    finally:
        progress.update(bar, entry="")
        child.stop()
    return line


def _next(child: Child) -> Sighting:
    if report := child.readline():
        return told(report)
    return Sighting(
        None, f"not tried: the process ended with {child.process.wait()}; see {child.log}"
    )
