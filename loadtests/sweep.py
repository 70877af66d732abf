"""`make sweep`: both stacks over rising concurrency, the knee of each, and claim A4 at the load where it holds.

The batch stack has the threads that its settings ship, since its knee is what is asked for: a thread waits for
each answer, so beyond them requests queue.
"""

import argparse
import dataclasses
import json
import sys
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from loadtests import options
from loadtests.blocks import Block
from loadtests.interrupt import interruptible
from loadtests.options import OptionError, RunOptions
from loadtests.processes import StartError
from loadtests.replay import Replay
from loadtests.reporting.claims import ARTICLE_STREAM_OVERHEAD_MS
from loadtests.reporting.figures import Claim
from loadtests.reporting.join import read_stacks
from loadtests.reporting.records import STACKS, StackName
from loadtests.run import make_room
from loadtests.stage import LEGACY, Stage, StageOptions, raised
from loadtests.stats import Distribution, distribution
from shared.settings import Settings

ARTICLE_OVERHEAD_MS = 800.0
KNEE_MS = 100.0
HARNESS_MS = KNEE_MS / 5
LEVELS = "50,100,125,200,300,400,500,600,700"
GIVEN_UP_MS = 2 * ARTICLE_OVERHEAD_MS
ROUNDS = 2


class Level(msgspec.Struct, frozen=True):
    """A stack at a load: API overhead in ms, and how late simulator or client were, in ms at p99."""

    users: int
    overhead: Distribution
    harness_late_p99_ms: float
    harness_limited: bool


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
    console.print(_conclusion(summary))
    console.print(f"  {chosen.out / 'summary.json'}", highlight=False)
    return 0


def _sweep(chosen: RunOptions, levels: list[int], stage: Stage, console: Console) -> dict[str, Any]:
    """Every stack is taken up to the load at which it has long given way, and no further."""
    measured: dict[StackName, dict[int, Level]] = {name: {} for name in STACKS}
    for users in levels:
        for name in STACKS:
            if all(level.overhead.p50 < GIVEN_UP_MS for level in measured[name].values()):
                measured[name][users] = _measure(chosen, users, name, stage, console)
    crossing = load_at(_medians(measured[LEGACY]), ARTICLE_OVERHEAD_MS)
    if crossing is not None:
        for name in STACKS:
            if crossing not in measured[name]:
                measured[name][crossing] = _measure(chosen, crossing, name, stage, console)
    return {
        "profile": chosen.profile,
        "legacy_threads": Settings.load().legacy_threads * chosen.workers,
        "levels": {
            name: [levels[users] for users in sorted(levels)] for name, levels in measured.items()
        },
        "knee": {name: load_at(_medians(levels), KNEE_MS) for name, levels in measured.items()},
        "claims": [] if crossing is None else [_a4(measured, crossing)],
        "a4": crossing
        and {
            "users": crossing,
            "api_overhead_p50_ms": {name: measured[name][crossing].overhead.p50 for name in STACKS},
        },
    }


def _a4(measured: dict[StackName, dict[int, Level]], users: int) -> Claim:
    """The article's 800 -> 280 ms, at the load where the batch stack adds as much."""
    batch, stream = (measured[name][users].overhead.p50 for name in STACKS)
    return Claim(
        "A4",
        "API overhead 800 -> 280 ms (-65 %)",
        f"{batch:,.0f} -> {stream:,.1f} ms at {users} users, where requests queue for Flask's threads",
        "beaten" if stream < ARTICLE_STREAM_OVERHEAD_MS else "not reproduced",
    )


def _measure(
    chosen: RunOptions, users: int, name: StackName, stage: Stage, console: Console
) -> Level:
    """One stack at one load; raises StartError when a request failed."""
    out = chosen.out / f"{name}-{users}"
    (out / "logs").mkdir(parents=True, exist_ok=True)
    count = users * ROUNDS
    replay = Replay(dataclasses.replace(chosen, users=users, requests=count, out=out), console)
    stage.control("stats?reset=1")
    replay.block(stage, Block(name, "direct", f"{users}", range(count)))
    missed = json.loads(stage.control("stats"))["deadline_miss_ms"]["p99"]
    rows = read_stacks(out)[0][name]
    spread = distribution(rows.milliseconds("api_overhead_ms"))
    if rows.failed or spread is None:
        raise StartError(
            f"{len(rows.failed)} requests to {name} failed at {users} users; see {out}"
        )
    dispatched = distribution(rows.dispatch_delays_ms())
    late = max(missed or 0.0, dispatched.tail if dispatched else 0.0)
    return Level(users, spread, late, late > HARNESS_MS)


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


def _medians(levels: dict[int, Level]) -> dict[int, float]:
    """Without the loads at which the harness, and not the stack, was late."""
    return {
        users: level.overhead.p50 for users, level in levels.items() if not level.harness_limited
    }


def _levels(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and 1 <= int(part) <= 20_000 for part in parts):
        raise OptionError(f"LEVELS={text}: whole numbers from 1 to 20,000, separated by commas")
    return sorted({int(part) for part in parts})


def _table(summary: dict[str, Any]) -> Table:
    table = Table("stack", "users", "p50", "p99", "", title="API overhead, ms")
    for name, levels in summary["levels"].items():
        for level in levels:
            late = "the harness was the limit" if level.harness_limited else ""
            p99 = level.overhead.tail
            table.add_row(
                name, f"{level.users:,}", f"{level.overhead.p50:,.1f}", f"{p99:,.1f}", late
            )
        table.add_section()
    return table


def _conclusion(summary: dict[str, Any]) -> str:
    knees = ", ".join(
        f"{name} at {users} users" if users else f"{name} at none of these loads"
        for name, users in summary["knee"].items()
    )
    lines = [f"Knee (median overhead of {KNEE_MS:.0f} ms): {knees}."]
    if a4 := summary["a4"]:
        batch, stream = (a4["api_overhead_p50_ms"][name] for name in STACKS)
        lines.append(
            f"A4: the article's {ARTICLE_OVERHEAD_MS:.0f} ms of overhead are the queue for "
            f"{summary['legacy_threads']} threads: {batch:,.0f} ms in Flask at {a4['users']} users, "
            f"{stream:,.1f} ms in FastAPI at the same load."
        )
    return "\n".join(lines)
