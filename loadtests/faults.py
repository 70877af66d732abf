"""`make faults`: every fault provoked for real, on every server of the streaming stack, its promise checked."""

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtests.interrupt import interruptible
from loadtests.processes import available_cores
from loadtests.provoking import (
    client_rows,
    memory_rows,
    process_rows,
    secrets_rows,
    upstream_rows,
)
from loadtests.provoking.ground import VARIANTS, Row, Variant
from loadtests.provoking.suite import AUDITS, Suite, Verdict

ROWS: tuple[Row, ...] = (
    *client_rows.ROWS,
    *upstream_rows.ROWS,
    *process_rows.ROWS,
    *secrets_rows.ROWS,
    *memory_rows.ROWS,
)
_MARKS = {True: "holds", False: "[bold]BROKEN[/]", None: "-"}
CORES_A_SERVER = 2
_MARK_WIDTH = len("gunicorn")

BROKEN, UNUSABLE, INTERRUPTED = 1, 2, 130
STACK_S, ROW_S, LONG_S = 5.0, 0.8, 330.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(variant.name for variant in VARIANTS)
    parser.add_argument("--servers", default="", help=f"comma list of {names}; all by default")
    parser.add_argument("--only", default="", help="rows with this text in their name")
    parser.add_argument(
        "--long", nargs="?", choices="01", const="1", default="0", help="with the default limits"
    )
    parser.add_argument("--out", type=Path, default=Path("out/faults"))


def main(arguments: argparse.Namespace) -> int:
    """0 when every promise holds, 1 when one does not, 2 for a bad option, 130 when interrupted."""
    try:
        variants, rows = chosen(arguments.servers, arguments.only)
    except ValueError as error:
        print(f"faults: {error}", file=sys.stderr)
        return UNUSABLE
    return perform(variants, rows, arguments.out, long=arguments.long == "1")


def chosen(servers: str, only: str) -> tuple[list[Variant], list[Row]]:
    """The variants and rows that are asked for; raises ValueError when there are none."""
    by_name = {variant.name: variant for variant in VARIANTS}
    names = servers.split(",") if servers else list(by_name)
    if unknown := [name for name in names if name not in by_name]:
        raise ValueError(f"SERVERS: there is no {unknown[0]}, only {', '.join(by_name)}")
    rows = [row for row in ROWS if only.lower() in row.name.lower()]
    if not rows:
        raise ValueError(f"ONLY: no row has {only!r} in its name")
    return [by_name[name] for name in names], rows


def perform(
    variants: Sequence[Variant], rows: Sequence[Row], out: Path, *, long: bool = False
) -> int:
    """Provokes the rows on each variant, prints and writes what came of it; returns the exit status."""
    console = Console()
    console.print(estimate(variants, rows, long))
    verdicts: list[Verdict] = []
    lock = threading.Lock()

    def told(verdict: Verdict) -> None:
        with lock:
            verdicts.append(verdict)
            console.print(_line(verdict), highlight=False, soft_wrap=True)

    suites = [Suite(variant, rows, out / variant.name, told, long) for variant in variants]
    try:
        with interruptible():
            run(suites)
    except KeyboardInterrupt:
        console.print("Interrupted: every process is stopped.")
        return INTERRUPTED
    return _conclude(console, suites, verdicts, out)


def estimate(variants: Sequence[Variant], rows: Sequence[Row], long: bool) -> str:
    seconds = len(variants) * (STACK_S + ROW_S * len(rows) + (LONG_S if long else 0.0))
    servers = ", ".join(variant.name for variant in variants)
    return f"{len(rows)} faults on {servers}: about {seconds:.0f} s."


def run(suites: Sequence[Suite]) -> None:
    """Runs them, some at a time; on KeyboardInterrupt ends every process that they started."""
    at_once = max(1, len(available_cores()) // CORES_A_SERVER)
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(suite.run) for suite in suites]
        try:
            for one in running:
                one.result()
        except KeyboardInterrupt:
            for suite in suites:
                suite.stopped.set()
            while not all(one.done() for one in running):
                _end_children()
                wait(running, timeout=0.2)
            raise


def _end_children() -> None:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _conclude(
    console: Console, suites: Sequence[Suite], verdicts: Sequence[Verdict], out: Path
) -> int:
    names = [suite.variant.name for suite in suites]
    expected = sum(len(suite.rows) + len(suite.audits) for suite in suites)
    summary = summarise(names, verdicts, expected)
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    console.print(_table(names, verdicts))
    for verdict in verdicts:
        if not verdict.held:
            console.print(_line(verdict), highlight=False, soft_wrap=True)
    console.print(f"  {out / 'summary.json'}", highlight=False)
    console.print(f"{summary['held']}/{summary['total']}", highlight=False)
    return 0 if summary["holds"] else BROKEN


def summarise(variants: Sequence[str], verdicts: Sequence[Verdict], total: int) -> dict[str, Any]:
    """Each row with what was seen on each variant; `holds` when each of `total` promises did."""
    rows: dict[str, dict[str, Any]] = {}
    for verdict in verdicts:
        row = rows.setdefault(verdict.row, {"promise": verdict.promise, "servers": {}})
        row["servers"][verdict.variant] = {
            "held": verdict.held,
            "evidence": verdict.evidence,
            "took_s": round(verdict.took_s, 3),
        }
    held = sum(verdict.held for verdict in verdicts)
    return {
        "servers": list(variants),
        "rows": rows,
        "held": held,
        "total": total,
        "holds": held == total,
    }


def _table(variants: Sequence[str], verdicts: Sequence[Verdict]) -> Table:
    marks = {(verdict.row, verdict.variant): verdict.held for verdict in verdicts}
    promises = {verdict.row: verdict.promise for verdict in verdicts}
    # Without hyphens the names of the servers break between their words on a narrow terminal.
    heads = (variant.replace("-", " ") for variant in variants)
    table = Table("fault", "promise", *heads, title="Every fault, and whether its promise holds")
    for column in table.columns[2:]:
        column.width = _MARK_WIDTH
    for row in _in_order(promises):
        cells = (_MARKS[marks.get((row, variant))] for variant in variants)
        table.add_row(escape(row), escape(promises[row]), *cells)
    return table


def _in_order(rows: Iterable[str]) -> list[str]:
    """As they are written down, not as they were done."""
    places = {
        name: place
        for place, name in enumerate([row.name for row in ROWS] + [name for name, _ in AUDITS])
    }
    return sorted(rows, key=lambda row: places.get(row, 0))


def _line(verdict: Verdict) -> str:
    mark = "holds " if verdict.held else "BROKEN"
    return escape(
        f"  {mark} {verdict.variant}: {verdict.row} ({verdict.took_s:.1f} s): {verdict.evidence}"
    )
