"""`make knobs`: each knob between a token and its reader, alone and together, through nginx (C1, C2).

A row is one setting of nginx and of the app, and the same crowd of readers through it. Beside them a silent
model shows what a heartbeat keeps open, and of what is shipped it is shown what has to hold.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console

from loadtests.http2 import NoHttp2
from loadtests.interrupt import interruptible
from loadtests.nginx import ChangeError
from loadtests.options import OptionError, folder, whole
from loadtests.processes import StartError, pinned
from loadtests.reporting.figures import Claim
from loadtests.stage import Stage, StageOptions, raised
from loadtests.turning import plot, tail
from loadtests.turning.figures import Figures, figures, first_content_ms, unzipped
from loadtests.turning.ground import standing
from loadtests.turning.outcome import Outcome, summary
from loadtests.turning.playing import A_SECOND, crowd, play, read, warm
from loadtests.turning.proof import ON_ONE, added, identity, proven, shared
from loadtests.turning.rows import LONGEST, MODEL, ROWS, SILENCES, Row, Silence
from loadtests.turning.silence import beside
from loadtests.turning.table import COLUMNS, tables

Tell = Callable[[str], None]
TAIL_STREAMS = 200
ADDED, IDENTITY, SHARED, TAIL = "added delay", "identity", "one connection", "tail of C1"
ROW_S, WHOLE_S, ANSWER_S = 8.5, 20.0, 20.0
"""Seconds, the start of what is needed included: of the last answer of a row, of any length, and as in C1."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is run: streams a row, the rows, the silences, and the names of the other parts."""

    streams: int
    out: Path
    rows: tuple[Row, ...]
    silences: tuple[Silence, ...]
    parts: frozenset[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", default="250")
    parser.add_argument("--only", default="", help="rows and parts that have this in their name")
    parser.add_argument("--out", default="out/knobs")


def checked(given: argparse.Namespace) -> Chosen:
    """Raises OptionError."""
    sought = given.only.lower()
    parts = frozenset(name for name in (ADDED, IDENTITY, SHARED, TAIL) if sought in name.lower())
    chosen = Chosen(
        streams=whole("STREAMS", given.streams, 1, 1000),
        out=folder("OUT", given.out),
        rows=tuple(row for row in ROWS if sought in row.name.lower()),
        silences=tuple(one for one in SILENCES if sought in one.name.lower()),
        parts=parts,
    )
    if not (chosen.rows or chosen.silences or chosen.parts):
        raise OptionError(f"ONLY={given.only}: no row has this in its name, such as {ROWS[0].name}")
    return chosen


def main(arguments: argparse.Namespace) -> int:
    """0 when what the rows and the proof say holds, 1 when not, 2 for a bad option, 130 on Ctrl-C."""
    console = Console()
    try:
        chosen = checked(arguments)
    except OptionError as error:
        print(f"knobs: {error}", file=sys.stderr)
        return 2
    tell = partial(console.print, soft_wrap=True, markup=False, highlight=False)
    tell(estimate(chosen))
    path = chosen.out / "summary.json"
    path.unlink(missing_ok=True)
    try:
        with interruptible():
            found = perform(chosen, tell)
    except (StartError, ChangeError, NoHttp2, OSError) as error:
        print(f"knobs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        tell("Interrupted: every process is stopped, nothing was kept.")
        return 130
    return _conclude(found, path, console, tell)


def perform(chosen: Chosen, tell: Tell) -> Outcome:
    """Everything that was chosen, one after the other, the silent streams beside it all.

    Raises StartError, ChangeError, NoHttp2.
    """
    found = Outcome(chosen.streams)
    with ExitStack() as running:
        stage = running.enter_context(raised(StageOptions(chosen.out, "chatty")))
        running.enter_context(pinned(stage.cores.client))
        silent = running.enter_context(beside(stage, chosen.silences, chosen.out / "silences"))
        for number, row in enumerate(chosen.rows, start=1):
            one = _row(stage, row, chosen, found)
            tell(f"  {number} of {len(chosen.rows)}: {row.group}: {row.name}: {_line(one)}")
        _parts(stage, chosen, found, tell)
        found.silences = silent()
    return found


def _row(stage: Stage, row: Row, chosen: Chosen, found: Outcome) -> Figures:
    where = chosen.out / "rows" / str(ROWS.index(row))
    # By the same request ids the model plays the same answers in every row.
    readers = crowd("row", chosen.streams, MODEL, most=LONGEST)
    with standing(stage, row, where) as up:
        warm(up.proxy)
        pids = (up.app.pid, up.proxy.child.pid)
        played = play(stage, pids, lambda: read(up.proxy, readers, row.reading))
    found.first_content_ms[row.name] = first_content_ms(map(unzipped, played.taken))
    found.rows[row.name] = one = figures(played, stage.cores)
    return one


def _parts(stage: Stage, chosen: Chosen, found: Outcome, tell: Tell) -> None:
    out, parts = chosen.out / "parts", chosen.parts
    if ADDED in parts:
        found.proof.added = one = added(stage, chosen.streams, out / "added")
        tell(f"  {ADDED}: {_line(one)}")
    if IDENTITY in parts:
        found.proof.identity = same = identity(stage, chosen.streams, out / "identity")
        tell(f"  {IDENTITY}: {same.identical} of {same.streams} bodies as the app sent them")
    if SHARED in parts:
        found.proof.shared = lot = shared(stage, out / "shared", min(ON_ONE, chosen.streams))
        tell(f"  {SHARED}: {_line(lot.figures)}")
    if TAIL in parts:
        found.tail = far = tail.tail(stage, min(TAIL_STREAMS, chosen.streams), out / "tail")
        tell(f"  {TAIL}: {far.ratio:.1f} x the median, all right")


def estimate(chosen: Chosen) -> str:
    """One line: what is run, and about how long it takes."""
    begun_s = chosen.streams / A_SECOND
    parts = {
        ADDED: begun_s + WHOLE_S,
        IDENTITY: begun_s + WHOLE_S,
        SHARED: WHOLE_S,
        TAIL: min(TAIL_STREAMS, chosen.streams) / tail.A_SECOND + ANSWER_S,
    }
    seconds = len(chosen.rows) * (begun_s + ROW_S) + sum(parts[name] for name in chosen.parts)
    longest = max((one.pause_s + 10 for one in chosen.silences), default=0.0)
    return (
        f"{len(chosen.rows)} rows of {chosen.streams} streams through nginx, {len(chosen.silences)} silent "
        f"models beside them, {len(chosen.parts)} other parts: about {max(seconds, longest) + 10:.0f} s."
    )


def _line(one: Figures) -> str:
    first = one.first_content_ms
    shown = f"p50 {first.p50:,.0f} ms, p99 {first.tail:,.0f} ms" if first else "no text"
    return ", ".join((f"first content {shown}", f"{one.held} held back", *one.invalid))


def _conclude(found: Outcome, path: Path, console: Console, tell: Tell) -> int:
    kept = summary(found)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
    samples = path.with_name("first_content.json")
    samples.write_bytes(msgspec.json.encode(found.first_content_ms))
    Console(width=max(console.width, COLUMNS)).print(tables(found))
    tell("\n".join((*proven(found.proof), *map(_verdict, kept["claims"]))))
    files = [path, samples]
    if found.first_content_ms:
        files.append(plot.draw(found, path.with_name("knobs.png")))
    for file in files:
        tell(f"  {file}")
    for failure in kept["failures"]:
        print(f"knobs: {failure}", file=sys.stderr)
    return 0 if kept["holds"] else 1


def _verdict(claim: Claim) -> str:
    return f"{claim.id}, {claim.verdict}: {claim.measured}."
