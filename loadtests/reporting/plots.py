"""The drawings of the report; each function draws one thing on the axes it is given."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from loadtests.reporting.canvas import Palette, dress
from loadtests.reporting.comparison import number
from loadtests.reporting.figures import Summary
from loadtests.reporting.typical import Typical
from loadtests.stats import Distribution, Floats

LANE = 0.86
"""Height of a time line's lane; what remains is for the words above it."""
CURVE_POINTS = 300
ZOOM_MS = 420.0
SMALLEST_MS = 0.01
NAMES = {"legacy_flask": "Flask, batch", "fastapi_app": "FastAPI, streaming"}


@dataclass(frozen=True)
class Lane:
    """How one time line looks."""

    name: str
    color: str
    palette: Palette
    narrow: bool


def time_lines(axes: Axes, request: Typical, palette: Palette, *, narrow: bool) -> None:
    """The typical request twice: how much of the answer is on the screen, as time passes."""
    until = 1.04 * max(request.batch_ms, request.last_ms) / 1e3
    whole = (np.array([request.batch_ms / 1e3]), np.array([1.0]))
    pieces = (request.chunk_ms / 1e3, request.chunk_share)
    legacy, streaming = NAMES["legacy_flask"], NAMES["fastapi_app"]
    _lane(axes, 1.6, until, whole, Lane(legacy, palette.legacy, palette, narrow))
    _lane(axes, 0.0, until, pieces, Lane(streaming, palette.streaming, palette, narrow))
    dress(axes, palette, left=False)
    axes.grid(visible=False)
    axes.set(xlim=(0, until), ylim=(0, 2.86), yticks=[])
    height = "" if narrow else "; height: share of the answer on the screen"
    axes.set_xlabel(f"seconds after the request was sent{height}")


def _lane(axes: Axes, base: float, until: float, shown: tuple[Floats, Floats], lane: Lane) -> None:
    """One time line; stamps in seconds and the share of the answer from each of them on."""
    stamps, share = shown
    first, last = float(stamps[0]), float(stamps[-1])
    axes.barh(base, first, LANE, align="edge", color=lane.palette.blank, linewidth=0)
    x = np.array([*stamps, until])
    y = base + LANE * np.array([*share, 1.0])
    axes.fill_between(x, base, y, step="post", color=lane.color, linewidth=0)
    axes.plot([first, first], [base, base + LANE], color=lane.color, linewidth=2)
    axes.text(0, base + LANE + 0.1, lane.name, color=lane.color, fontsize=13, weight="bold")
    words = _blank_words(first, until, narrow=lane.narrow)
    middle = base + LANE / 2
    inside = first > until / 20
    at, side = (first / 2, "center") if inside else (first + until / 150, "left")
    axes.text(at, middle, words, ha=side, va="center", color=lane.palette.muted, fontsize=12)
    end = f"complete at {last:.2f} s"
    axes.text(until, base + LANE + 0.1, end, ha="right", color=lane.palette.ink, fontsize=12)


def _blank_words(first: float, until: float, *, narrow: bool) -> str:
    """What fits into the blank part of a lane."""
    if first > until / 2:
        return f"blank screen for {first:.2f} s"
    if first > until / 8 and not narrow:
        return f"blank screen\n{first:.2f} s"
    return f"{first:.2f} s"


def cumulative_shares(
    axes: Axes, legacy: Floats, streaming: Floats, palette: Palette, *, from_zero: bool
) -> None:
    """For each stack the share of requests that were done within x; values in ms, drawn in seconds."""
    if not len(legacy) and not len(streaming):
        axes.set_axis_off()
        return
    if len(legacy):
        _curve(axes, legacy, palette.legacy, NAMES["legacy_flask"])
    if len(streaming):
        _curve(axes, streaming, palette.streaming, NAMES["fastapi_app"])
    dress(axes, palette)
    axes.set(ylim=(0, 103), ylabel="% of requests", yticks=[0, 25, 50, 75, 100])
    axes.set_xlabel("seconds" if from_zero else "seconds (the axis does not start at zero)")
    if from_zero:
        axes.set_xlim(left=0)
        _sooner(axes, legacy, streaming, palette)
    axes.locator_params(axis="x", nbins=7)
    _legend(axes)


def _sooner(axes: Axes, legacy: Floats, streaming: Floats, palette: Palette) -> None:
    """The distance between the medians, where there is room to write it."""
    if not len(legacy) or not len(streaming):
        return
    before, after = float(np.median(legacy)) / 1e3, float(np.median(streaming)) / 1e3
    if before - after < before / 3:
        return
    ends = {"arrowstyle": "->", "color": palette.muted, "shrinkA": 6, "shrinkB": 6}
    axes.annotate("", (after, 50), (before, 50), arrowprops=ends)
    text = f"{before - after:.2f} s sooner"
    axes.text((before + after) / 2, 54, text, ha="center", color=palette.ink, fontsize=12)


def _legend(axes: Axes) -> None:
    """The names in their colours, above the axes where no curve can run through them."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        frameon=False,
        labelcolor="linecolor",
        handlelength=1.2,
        columnspacing=1.4,
        fontsize=11,
    )


def _curve(axes: Axes, values: Floats, color: str, name: str) -> None:
    ordered = np.sort(values) / 1e3
    ranks = np.unique(np.linspace(0, len(ordered) - 1, CURVE_POINTS).round().astype(np.int64))
    axes.step(
        ordered[ranks],
        100 * (ranks + 1) / len(ordered),
        where="post",
        color=color,
        label=name,
        linewidth=1.8,
    )
    middle = (len(ordered) + 1) // 2 - 1
    axes.plot(ordered[middle], 50, "o", color=color, markersize=5)


def arrival(axes: Axes, request: Typical, palette: Palette, *, zoomed: bool) -> None:
    """Characters over time: written by the model (where its timeline is known), arrived at the client."""
    known = len(request.token_ms) > 0
    begin = float(request.token_ms[0]) if known else request.first_ms
    if known:
        width = 1.5 if zoomed else 5.0
        _steps(
            axes,
            request.token_ms,
            request.token_share,
            palette.model,
            width,
            "written by the model",
        )
    x, y = np.array([begin, *request.chunk_ms]), np.array([0.0, *request.chunk_share])
    _steps(axes, x, y, palette.streaming, 2.0, "arrived at the client")
    dress(axes, palette)
    axes.set(ylabel="% of the characters", xlabel="seconds after the request was sent")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    if zoomed:
        _zoom(axes, request, begin)
    _legend(axes)


def _steps(axes: Axes, x: Floats, y: Floats, color: str, width: float, label: str) -> None:
    axes.step(x / 1e3, 100 * y, where="post", color=color, linewidth=width, label=label)


def _zoom(axes: Axes, request: Typical, begin: float) -> None:
    until = begin + ZOOM_MS
    seen = request.chunk_share[request.chunk_ms <= until]
    axes.set_xlim((begin - ZOOM_MS / 20) / 1e3, until / 1e3)
    axes.set_ylim(0, max(1.0, 115 * float(seen[-1]) if len(seen) else 1.0))


def overheads(axes: Axes, summary: Summary, palette: Palette) -> None:
    """What each stack adds: the dot is the median, the bar reaches to p99, the tick is the maximum."""
    rows = [(label, found, color) for label, found, color in _overheads(summary, palette) if found]
    for place, (_, found, color) in enumerate(reversed(rows)):
        _reach(axes, place, found, color)
        median = f"{number(found.p50)} ms"
        at = (max(found.p50, SMALLEST_MS), place + 0.22)
        axes.text(*at, median, ha="center", color=palette.ink, fontsize=11)
    dress(axes, palette, left=False)
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(ylim=(-0.5, len(rows) - 0.3), yticks=range(len(rows)))
    axes.set_yticklabels([label for label, _, _ in reversed(rows)], color=palette.ink)
    axes.set_xlabel("ms, log scale: median, p99, maximum")


def _reach(axes: Axes, place: float, found: Distribution, color: str) -> None:
    """Median, p99 and maximum of one distribution on one line; nothing below `SMALLEST_MS` fits the scale."""
    low, tail, end = (max(value, SMALLEST_MS) for value in (found.p50, found.tail, found.max))
    axes.plot([low, tail], [place] * 2, color=color, linewidth=6, alpha=0.45, solid_capstyle="butt")
    axes.plot([tail, end], [place] * 2, color=color, linewidth=1)
    axes.plot(end, place, "|", color=color, markersize=9)
    axes.plot(low, place, "o", color=color, markersize=7)


def _overheads(summary: Summary, palette: Palette) -> list[tuple[str, Distribution | None, str]]:
    legacy, stream = summary.stacks.legacy_flask, summary.stacks.fastapi_app
    return [
        ("API overhead\nFlask", legacy.api_overhead_ms, palette.legacy),
        ("API overhead\nFastAPI", stream.api_overhead_ms, palette.streaming),
        ("first-chunk\ndelay", stream.first_chunk_delay_ms, palette.streaming),
        ("relay lag", stream.relay_lag_ms, palette.streaming),
    ]


def bars(
    axes: Axes, legacy: float | None, streaming: float | None, label: str, palette: Palette
) -> None:
    """One figure of both stacks as two bars from zero."""
    values = (streaming or 0.0, legacy or 0.0)
    axes.barh([0, 1], values, 0.62, color=[palette.streaming, palette.legacy])
    for place, value in enumerate((streaming, legacy)):
        axes.annotate(
            number(value),
            (value or 0.0, place),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=palette.ink,
        )
    dress(axes, palette, left=False)
    axes.set(xlim=(0, max(*values, 1e-9) * 1.22), yticks=[0, 1])
    axes.set_yticklabels(["FastAPI", "Flask"], color=palette.ink)
    axes.set_title(label, loc="left", fontsize=11, color=palette.ink)
    axes.locator_params(axis="x", nbins=4)
