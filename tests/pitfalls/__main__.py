"""`make pitfalls`: every entry of the catalogue, on FastAPI 0.115 and on the current one."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from loadtests.interrupt import interruptible
from tests.pitfalls.catalogue import Entry, entry_of, names
from tests.pitfalls.table import terminal
from tests.pitfalls.trying import BROKEN, INTERRUPTED, START_S, UNUSABLE, Line, tried
from tests.pitfalls.verdict import Verdict, judged, summarised

ROOT = Path(__file__).parents[2]
PYTHONS = {"pinned": ROOT / ".venv/bin/python", "current": ROOT / ".venv-latest/bin/python"}
ENTRY_S = 0.8


def main(arguments: Sequence[str]) -> int:
    """0 when every entry shows what it says, 1 when one does not, 2 for a bad option, 130 when interrupted."""
    parser = argparse.ArgumentParser("pitfalls", description=__doc__)
    parser.add_argument("--only", default="", help="entries with this text in their name")
    parser.add_argument("--out", type=Path, default=Path("out/pitfalls"))
    options = parser.parse_args(arguments)
    try:
        entries, pythons = chosen(options.only), built(PYTHONS)
        options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"pitfalls: {error}", file=sys.stderr)
        return UNUSABLE
    return perform(entries, pythons, options.out)


def chosen(only: str) -> list[Entry]:
    """The entries with `only` in their name; raises ValueError when there are none."""
    found = [entry_of(name) for name in names() if only.lower() in name]
    if not found:
        raise ValueError(f"ONLY: no entry has {only!r} in its name")
    return found


def built(pythons: Mapping[str, Path]) -> Mapping[str, Path]:
    """The same; raises ValueError when one is not there."""
    if missing := [str(python) for python in pythons.values() if not python.exists()]:
        raise ValueError(f"there is no {missing[0]}: `make pitfalls` builds it")
    return pythons


def perform(entries: Sequence[Entry], pythons: Mapping[str, Path], out: Path) -> int:
    """Tries the entries with each Python, prints and writes what came of it; returns the exit status."""
    console = Console()
    seconds = len(pythons) * (START_S + ENTRY_S * len(entries))
    console.print(f"{len(entries)} entries on two lines of FastAPI: about {seconds:.0f} s.")
    try:
        with interruptible():
            lines = tried(entries, pythons, out, console)
    except KeyboardInterrupt:
        console.print("Interrupted: every process is stopped.")
        return INTERRUPTED
    verdicts = judged(entries, lines["pinned"].sightings, lines["current"].sightings)
    return _conclude(console, verdicts, lines, out)


def _conclude(
    console: Console, verdicts: Sequence[Verdict], lines: Mapping[str, Line], out: Path
) -> int:
    versions = {name: line.versions for name, line in lines.items()}
    summary = summarised(verdicts, versions["pinned"], versions["current"])
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    console.print(terminal(verdicts, *(one.get("fastapi", "?") for one in versions.values())))
    for verdict in verdicts:
        for failure in verdict.failures():
            console.print(f"  {escape(failure)}", highlight=False, soft_wrap=True)
    console.print(f"  {out / 'summary.json'}", highlight=False)
    console.print(
        f"{summary['shown']}/{summary['total']} entries show what they say", highlight=False
    )
    return 0 if summary["holds"] else BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
