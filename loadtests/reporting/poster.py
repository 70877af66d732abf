"""One picture of a report, for a README: drawn by matplotlib alone, without a browser."""

from pathlib import Path

from matplotlib.axes import Axes

from loadtests.reporting import canvas, comparison, plots
from loadtests.reporting.canvas import PRINT
from loadtests.reporting.comparison import ComparisonRow
from loadtests.reporting.summary import Measured
from loadtests.reporting.typical import typical

SIZE = (1000.0, 760.0)
PAPER = "#fbfaf7"
INSIDE = (0.03, 0.02, 0.94, 0.95)
"""The part of the picture that is drawn on: left, bottom, width, height."""
DPI = 144
"""Two pixels for each CSS pixel."""


def draw(measured: Measured, path: Path) -> None:
    """Draws the time lines, the comparison and two distributions into a file; the suffix names the format."""
    with canvas.settings():
        figure = canvas.figure(*SIZE)
        figure.set_facecolor(PAPER)
        figure.set_layout_engine("constrained", rect=INSIDE, hspace=0.06)
        axes = figure.subplot_mosaic(
            [["words", "words"], ["lines", "lines"], ["first", "arrival"], ["table", "table"]],
            height_ratios=[0.5, 2.1, 2.0, 1.9],
        )
        _words(axes["words"], measured)
        _plots(axes, measured)
        _table(axes["table"], measured)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DPI)


def _words(axes: Axes, measured: Measured) -> None:
    axes.set_axis_off()
    title = comparison.headline(measured.summary)
    axes.text(0, 0.62, title, fontsize=21, weight="bold", color=PRINT.ink, family="DejaVu Serif")
    run = measured.run
    below = f"{run.scenario}: {run.requests:,} requests against each stack, {run.users:,} users"
    axes.text(0, 0.1, below, fontsize=11, color=PRINT.muted)


def _plots(axes: dict[str, Axes], measured: Measured) -> None:
    request = typical(measured.legacy, measured.streaming)
    legacy, streaming = measured.legacy, measured.streaming
    plots.cumulative_shares(
        axes["first"],
        legacy.milliseconds("first_content_ms"),
        streaming.milliseconds("first_content_ms"),
        PRINT,
        from_zero=True,
    )
    axes["first"].set_xlabel("time to first content, seconds")
    if request is None:
        axes["lines"].set_axis_off()
        axes["arrival"].set_axis_off()
        return
    plots.time_lines(axes["lines"], request, PRINT, narrow=False)
    plots.arrival(axes["arrival"], request, PRINT, zoomed=True)


def _table(axes: Axes, measured: Measured) -> None:
    axes.set_axis_off()
    rows = [row for row in comparison.rows(measured.summary) if row.change]
    cells = [_cells(row) for row in rows]
    heads = ["", "Flask p50", "p99", "FastAPI p50", "p99", "change of p50"]
    grid = axes.table(
        cells, colLabels=heads, edges="horizontal", loc="center", colWidths=[0.3, *[0.14] * 5]
    )
    grid.auto_set_font_size(False)
    grid.set_fontsize(11)
    grid.scale(1, 1.5)
    for (line, column), cell in grid.get_celld().items():
        cell.set_edgecolor(PRINT.grid)
        cell.PAD = 0.0 if column == 0 else 0.06
        cell.set_text_props(ha="left" if column == 0 else "right", color=_color(line, column))


def _cells(row: ComparisonRow) -> list[str]:
    label = f"{row.label}, {row.unit}" if row.unit else row.label
    return [label, row.legacy.p50, row.legacy.p99, row.streaming.p50, row.streaming.p99, row.change]


def _color(line: int, column: int) -> str:
    if line == 0:
        return PRINT.muted
    return {1: PRINT.legacy, 2: PRINT.legacy, 3: PRINT.streaming, 4: PRINT.streaming}.get(
        column, PRINT.ink
    )
