"""`make myths`: what is said of streams and of nginx in front of them, what is so, and the line of evidence."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from loadtests.interrupt import interruptible
from tests.pitfalls import proxies
from tests.pitfalls.catalogue import Entry, myths, name_of
from tests.pitfalls.table import told_and_seen
from tests.pitfalls.trying import BROKEN, INTERRUPTED, START_S, UNUSABLE, tried
from tests.pitfalls.verdict import Myth, myths_summarised

ENTRY_S = 1.7


def main(arguments: Sequence[str]) -> int:
    """0 when every item shows what it says, 1 when one does not, 2 for a bad option, 130 when interrupted."""
    parser = argparse.ArgumentParser("myths", description=__doc__)
    parser.add_argument("--only", default="", help="items with this text in their name")
    parser.add_argument("--out", type=Path, default=Path("out/myths"))
    options = parser.parse_args(arguments)
    try:
        entries = chosen(options.only)
        options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"myths: {error}", file=sys.stderr)
        return UNUSABLE
    return perform(entries, options.out)


def chosen(only: str) -> list[Entry]:
    """The items with `only` in their name; raises ValueError when there are none."""
    found = [entry for entry in myths() if only.lower() in name_of(entry)]
    if not found:
        raise ValueError(f"ONLY: no item has {only!r} in its name")
    return found


def perform(entries: Sequence[Entry], out: Path, python: Path = Path(sys.executable)) -> int:
    """Tries the items, prints and writes what came of it; returns the exit status."""
    console = Console()
    console.print(f"{len(entries)} items: about {START_S + ENTRY_S * len(entries):.0f} s.")
    try:
        with interruptible():
            line = tried(entries, {"myths": python}, out, console)["myths"]
    except KeyboardInterrupt:
        console.print("Interrupted: every process is stopped.")
        return INTERRUPTED
    found = [Myth(entry, line.sightings[name_of(entry)]) for entry in entries]
    return _conclude(console, found, {**line.versions, "nginx": proxies.version()}, out)


def _conclude(console: Console, found: Sequence[Myth], versions: dict[str, str], out: Path) -> int:
    summary = myths_summarised(found, versions)
    (out / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False))
    console.print(told_and_seen(summary["items"]))
    for failure in summary["failures"]:
        console.print(f"  {escape(failure)}", highlight=False, soft_wrap=True)
    console.print(f"  {out / 'summary.json'}", highlight=False)
    shown = sum(item["shown"] for item in summary["items"])
    console.print(f"{shown}/{len(found)} items show what they say", highlight=False)
    return 0 if summary["holds"] else BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
