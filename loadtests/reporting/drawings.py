"""The figures of the page, each once for a wide screen and once for a narrow one."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes

from loadtests.reporting import canvas, plots
from loadtests.reporting.canvas import MARKERS
from loadtests.reporting.summary import Measured
from loadtests.reporting.typical import Typical

WIDE = 1000
HALF = 484
NARROW = 346


@dataclass(frozen=True)
class Drawing:
    """One figure for both widths, as SVG elements."""

    wide: str
    narrow: str


def time_lines(request: Typical) -> Drawing:
    """The typical request on both stacks."""
    return _drawing(
        "One request on both stacks: blank screen against text arriving",
        "lines",
        WIDE,
        (250, 280),
        lambda axes, narrow: plots.time_lines(axes, request, MARKERS, narrow=narrow),
    )


def first_content(measured: Measured) -> Drawing:
    """Time to first content of all requests."""
    return _shares(measured, "first_content_ms", "Time to first content", from_zero=True)


def total(measured: Measured) -> Drawing:
    """Total time of all requests."""
    return _shares(measured, "total_ms", "Total time", from_zero=False)


def _shares(measured: Measured, name: str, label: str, *, from_zero: bool) -> Drawing:
    legacy, streaming = measured.legacy.milliseconds(name), measured.streaming.milliseconds(name)

    def draw(axes: Axes, narrow: bool) -> None:
        plots.cumulative_shares(axes, legacy, streaming, MARKERS, from_zero=from_zero)

    return _drawing(f"{label}: share of requests done within x", name, HALF, (270, 250), draw)


def arrival(request: Typical, *, zoomed: bool) -> Drawing:
    """Token arrival of the typical request, whole or from its first token on."""
    return _drawing(
        "Characters over time",
        f"arrival{zoomed:d}",
        HALF,
        (270, 250),
        lambda axes, _: plots.arrival(axes, request, MARKERS, zoomed=zoomed),
    )


def overheads(measured: Measured) -> Drawing:
    """What each stack adds to the model's time."""
    return _drawing(
        "What each stack adds, in milliseconds",
        "overheads",
        WIDE,
        (250, 270),
        lambda axes, _: plots.overheads(axes, measured.summary, MARKERS),
    )


def costs(measured: Measured) -> Drawing:
    """CPU a request and peak memory."""
    return Drawing(
        _costs(measured, "costs-wide", (WIDE, 130), (1, 2)),
        _costs(measured, "costs-narrow", (NARROW, 250), (2, 1)),
    )


def _costs(measured: Measured, name: str, size: tuple[float, float], grid: tuple[int, int]) -> str:
    legacy, streaming = measured.summary.stacks.legacy_flask, measured.summary.stacks.fastapi_app
    with canvas.settings():
        figure = canvas.figure(*size)
        cpu, memory = figure.subplots(*grid).flat
        plots.bars(
            cpu,
            legacy.cpu_ms_per_request,
            streaming.cpu_ms_per_request,
            "CPU, ms a request",
            MARKERS,
        )
        plots.bars(memory, legacy.rss_peak_mib, streaming.rss_peak_mib, "peak memory, MiB", MARKERS)
        return canvas.svg(figure, "CPU and memory", name)


def _drawing(
    label: str,
    name: str,
    wide: float,
    heights: tuple[float, float],
    draw: Callable[[Axes, bool], None],
) -> Drawing:
    return Drawing(
        _one(label, f"{name}-wide", (wide, heights[0]), lambda axes: draw(axes, False)),
        _one(label, f"{name}-narrow", (NARROW, heights[1]), lambda axes: draw(axes, True)),
    )


def _one(label: str, name: str, size: tuple[float, float], draw: Callable[[Axes], None]) -> str:
    with canvas.settings():
        figure = canvas.figure(*size)
        draw(figure.subplots())
        return canvas.svg(figure, label, name)
