"""The tables of a run, narrow enough for a terminal of 112 columns."""

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from loadtests.stats import Distribution
from loadtests.turning.figures import Figures
from loadtests.turning.outcome import Outcome
from loadtests.turning.rows import ROWS
from loadtests.turning.silence import Kept
from loadtests.turning.tail import Tail

DASH = "–"
COLUMNS = 112
CAPTION = (
    "added: to the model's own time to first token; held back: answers of which nothing came in their first "
    "half; lost: without their end; µs: CPU a token; !: the harness was the limit"
)
HEADS = (
    "first\np50",
    "text\np99",
    "p99\n/p50",
    "added\np50",
    "\np99",
    "gap\np50",
    "\np99",
    "\nmax",
    "held\nback",
    "lost\n",
    "app\nµs",
    "nginx\nµs",
)


def tables(found: Outcome) -> RenderableType:
    """Everything that was found, in the order in which it was asked for."""
    return Group(*(Padding(part, (1, 0, 0, 0)) for part in _parts(found)))


def _parts(found: Outcome) -> Iterator[RenderableType]:
    if found.rows:
        yield _rows(found)
    if found.silences:
        yield _silences(found.silences)
    if found.tail is not None:
        yield _tail(found.tail)


def _plain(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
    )
    table.padding = (0, 0)
    table.add_column(columns[0], vertical="bottom", no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", vertical="bottom", no_wrap=True)
    return table


def _rows(found: Outcome) -> Table:
    table = _plain(f"{found.streams} streams a row, times in ms", "", *HEADS)
    table.caption, table.caption_justify = CAPTION, "left"
    group = ""
    for row in ROWS:
        one = found.rows.get(row.name)
        if one is None:
            continue
        if row.group != group:
            group = row.group
            table.add_row(f"[bold]{group}[/]")
        mark = " !" if one.invalid else ""
        table.add_row(f"  {row.name}{mark}", *_cells(one))
    return table


def _cells(one: Figures) -> list[str]:
    first, delay, gap = one.first_content_ms, one.first_chunk_delay_ms, one.gap_ms
    return [
        *_two(first),
        DASH if one.ratio is None else f"{one.ratio:.1f}",
        *_two(delay, places=1),
        *_two(gap),
        f"{gap.max:,.0f}" if gap else DASH,
        f"{one.held}",
        f"{one.dropped + one.failed}",
        f"{one.app_us:.0f}",
        f"{one.proxy_us:.0f}",
    ]


def _two(spread: Distribution | None, places: int = 0) -> list[str]:
    if spread is None:
        return [DASH, DASH]
    return [_number(spread.p50, places), _number(spread.tail, places)]


def _number(value: float, places: int) -> str:
    return f"{value:,.{places if value < 100 else 0}f}"


def _silences(found: list[Kept]) -> Table:
    table = _plain("A silent model", "", "silence", "streams", "dropped", "first after", "pings")
    for one in found:
        after = f"{one.after_s:.1f} s" if one.after_s is not None else DASH
        counts = (str(one.streams), str(one.dropped), after, str(one.pings))
        table.add_row(one.name, f"{one.pause_s:g} s", *counts)
    return table


def _tail(found: Tail) -> Table:
    columns = ("answers", "p50 ms", "p99 ms", "p99/p50", "held alone: p50 ms")
    table = _plain("Time to first content when a few answers go another way", "", *columns)
    right = found.right_ms
    table.add_row("all right", str(right.n), *_two(right), f"{found.ratio:.1f}", DASH)
    for one in found.mixed:
        share = f"{one.held} of {one.streams}"
        alone = f"{one.held_ms.p50:,.0f}"
        table.add_row(one.way, share, *_two(one.first_content_ms), f"{one.ratio:.1f}", alone)
    return table
