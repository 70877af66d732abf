"""The picture of a run: for each row, when the first text came."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from loadtests.reporting import canvas
from loadtests.reporting.canvas import PRINT, dress
from loadtests.stats import Floats, percentile
from loadtests.turning.outcome import Outcome
from loadtests.turning.rows import ROWS, Row

PAPER = "#fbfaf7"
DPI = 144
WIDTH, ROW_PX, HEAD_PX = 1000.0, 25.0, 130.0
JITTER = 0.26
INSIDE = (0.01, 0.01, 0.98, 0.98)
"""The part of the picture that is drawn on: left, bottom, width, height."""


def draw(found: Outcome, path: Path) -> Path:
    """Draws the rows that were run into a file; its suffix names the format."""
    rows = [row for row in ROWS if found.first_content_ms.get(row.name)]
    lines = _lines(rows)
    with canvas.settings():
        figure = canvas.figure(WIDTH, HEAD_PX + ROW_PX * (len(lines) + 1))
        figure.set_facecolor(PAPER)
        figure.set_layout_engine("constrained", rect=INSIDE)
        axes = figure.subplots()
        for place, row in enumerate(lines):
            if isinstance(row, Row):
                color = PRINT.legacy if found.rows[row.name].held_back else PRINT.streaming
                _strip(axes, place, np.sort(found.first_content_ms[row.name]), color)
        _frame(axes, lines, found.streams)
        figure.savefig(path, dpi=DPI)
    return path


def _lines(rows: Sequence[Row]) -> list[Row | str]:
    """The rows from the top, each group under its name."""
    lines: list[Row | str] = []
    for before, row in zip([None, *rows], rows, strict=False):
        if before is None or before.group != row.group:
            lines.append(row.group)
        lines.append(row)
    return lines


def _strip(axes: Axes, place: int, ordered: Floats, color: str) -> None:
    """Each answer as a dot, the median as a bar, and the two percentiles in figures beside it."""
    seconds = ordered / 1e3
    jitter = np.random.default_rng(place).uniform(-JITTER, JITTER, len(seconds))
    axes.plot(seconds, place + jitter, ".", color=color, alpha=0.3, markersize=4, markeredgewidth=0)
    middle, end = percentile(seconds, 50), percentile(seconds, 99)
    axes.plot([middle] * 2, [place - 0.4, place + 0.4], color=color, linewidth=2.5)
    words = f"{middle:.2f}   {end:.2f}"
    axes.annotate(
        words,
        (1.0, place),
        (8, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        color=color,
        fontsize=10,
    )


def _frame(axes: Axes, lines: Sequence[Row | str], streams: int) -> None:
    dress(axes, PRINT, left=False)
    axes.set_xscale("log")
    axes.set(ylim=(len(lines) - 0.4, -0.9), yticks=range(len(lines)))
    axes.set_yticklabels([_label(line) for line in lines], fontsize=11)
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_color(PRINT.muted if isinstance(line, str) else PRINT.ink)
        label.set_fontweight("bold" if isinstance(line, str) else "normal")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(
        "seconds to the first text, log scale; a dot is an answer, the bar their median; "
        "brown where most are held back"
    )
    axes.set_title(
        f"When the first text comes, {streams} streams a row",
        loc="left",
        color=PRINT.ink,
        fontsize=15,
    )
    heads = "p50     p99"
    axes.annotate(
        heads,
        (1.0, 1.0),
        (8, 2),
        xycoords="axes fraction",
        textcoords="offset points",
        color=PRINT.muted,
        fontsize=10,
    )


def _label(line: Row | str) -> str:
    return line if isinstance(line, str) else line.name
