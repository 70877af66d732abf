"""`make sweep`: both stacks over rising concurrency, the knee of each, and claim A4 at the load where it holds.

The batch stack has the threads that its settings ship, since its knee is what is asked for: a thread waits for
each answer, so beyond them requests queue.
"""

import argparse
import dataclasses
import json
import sys

import msgspec
from rich.console import Console
from rich.table import Table

from loadtests import options
from loadtests.join import read_stacks
from loadtests.options import OptionError, RunOptions
from loadtests.processes import StartError
from loadtests.replay import Replay
from loadtests.run import interruptible, make_room
from loadtests.stage import LEGACY, STACKS, Stage, StageOptions, raised
from loadtests.stats import Distribution, distribution
from shared.settings import Settings

ARTICLE_OVERHEAD_MS = 800.0
KNEE_MS = 100.0
LEVELS = "50,100,110,125,150,200,300"
ROUNDS = 2

Level = dict[str, Distribution | None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_arguments(parser)
    parser.set_defaults(out="out/sweep")
    parser.add_argument("--levels", default=LEVELS, help="numbers of users, rising")


def main(arguments: argparse.Namespace) -> int:
    """0 when both stacks answered everything at every level; 1 when not, 2 for a bad option."""
    console = Console()
    try:
        chosen = options.checked(arguments)
        levels = _levels(arguments.levels)
    except OptionError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    make_room(chosen, console)
    threads = Settings.load().legacy_threads * chosen.workers
    console.print(
        f"{len(levels)} loads, {ROUNDS} requests a user and stack; {threads} threads in Flask."
    )
    stage_options = StageOptions(
        chosen.out, chosen.profile, chosen.seed, chosen.workers, Settings.load().legacy_threads
    )
    try:
        with interruptible(), raised(stage_options) as stage:
            summary = _sweep(chosen, levels, stage, console)
    except StartError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.print(
            f"Interrupted: every process is stopped, what was measured is in {chosen.out}."
        )
        return 130
    (chosen.out / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    console.print(_table(summary))
    console.print(f"  {chosen.out / 'summary.json'}", highlight=False)
    return 0


def _sweep(
    chosen: RunOptions, levels: list[int], stage: Stage, console: Console
) -> dict[str, object]:
    measured: dict[int, Level] = {}
    for users in levels:
        measured[users] = _measure(chosen, users, stage, console)
    crossing = load_at(_medians(measured, LEGACY), ARTICLE_OVERHEAD_MS)
    if crossing is not None and crossing not in measured:
        measured[crossing] = _measure(chosen, crossing, stage, console)
    knees = {name: load_at(_medians(measured, name), KNEE_MS) for name in STACKS}
    return {
        "profile": chosen.profile,
        "legacy_threads": Settings.load().legacy_threads * chosen.workers,
        "levels": [
            {"users": users} | {name: measured[users][name] for name in STACKS}
            for users in sorted(measured)
        ],
        "knee": {"api_overhead_p50_above_ms": KNEE_MS} | knees,
        "a4": {
            "users": crossing,
            "api_overhead_p50_ms": {
                name: getattr(measured[crossing][name], "p50", None) for name in STACKS
            }
            if crossing is not None
            else None,
        },
    }


def _measure(chosen: RunOptions, users: int, stage: Stage, console: Console) -> Level:
    """API overhead of both stacks at a load, in ms; raises StartError when a request failed."""
    out = chosen.out / f"users-{users}"
    (out / "logs").mkdir(parents=True, exist_ok=True)
    count = users * ROUNDS
    replay = Replay(dataclasses.replace(chosen, users=users, requests=count, out=out), console)
    for name in STACKS:
        replay.block(stage, name, "A1" if name == LEGACY else "B1", range(count))
    stacks, _ = read_stacks(out)
    failed = sum(len(rows.failed) for rows in stacks.values())
    if failed:
        raise StartError(f"{failed} requests failed at {users} users; see {out / 'samples.jsonl'}")
    return {
        name: distribution(rows.milliseconds("api_overhead_ms")) for name, rows in stacks.items()
    }


def load_at(medians: dict[int, float], overhead_ms: float) -> int | None:
    """The number of users at which the median overhead reaches a figure, by linear interpolation.

    None when no load reached it.
    """
    below: tuple[int, float] | None = None
    for users, median in sorted(medians.items()):
        if median >= overhead_ms:
            if below is None:
                return users
            share = (overhead_ms - below[1]) / (median - below[1])
            return round(below[0] + share * (users - below[0]))
        below = (users, median)
    return None


def _medians(measured: dict[int, Level], name: str) -> dict[int, float]:
    found = {users: level.get(name) for users, level in measured.items()}
    return {users: spread.p50 for users, spread in found.items() if spread is not None}


def _levels(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and 1 <= int(part) <= 20_000 for part in parts):
        raise OptionError(f"LEVELS={text}: whole numbers from 1 to 20,000, separated by commas")
    return sorted({int(part) for part in parts})


def _table(summary: dict[str, object]) -> Table:
    table = Table(
        "users", "Flask p50", "Flask p99", "FastAPI p50", "FastAPI p99", title="API overhead, ms"
    )
    levels = summary["levels"]
    assert isinstance(levels, list)
    for level in levels:
        cells = [
            "" if value is None else f"{value:,.1f}"
            for name in STACKS
            for value in (level[name].p50, level[name].p99)
        ]
        table.add_row(f"{level['users']:,}", *cells)
    table.caption = json.dumps({"knee": summary["knee"], "a4": summary["a4"]})
    return table
