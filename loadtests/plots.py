"""The drawings of the report; each function draws one thing on the axes it is given."""

import numpy as np
from matplotlib.axes import Axes

from .canvas import Palette, dress
from .comparison import number
from .figures import Summary
from .stats import Distribution, Floats
from .typical import Typical

LANE = 0.86
"""Height of a time line's lane; what remains is for the words above it."""
CURVE_POINTS = 300
ZOOM_MS = 420.0
NAMES = {"legacy_flask": "Flask, batch", "fastapi_app": "FastAPI, streaming"}


def time_lines(axes: Axes, request: Typical, palette: Palette, *, narrow: bool) -> None:
    """The typical request twice: how much of the answer is on the screen, as time passes."""
    end = max(request.batch_ms, request.last_ms) / 1e3
    batch = (np.array([request.batch_ms]), np.array([1.0]))
    stream = (request.chunk_ms, request.chunk_share)
    _lane(axes, 1.62, NAMES["legacy_flask"], batch, palette.legacy, palette, end)
    _lane(axes, 0.0, NAMES["fastapi_app"], stream, palette.streaming, palette, end)
    dress(axes, palette, left=False)
    axes.set(xlim=(0, end * 1.04), ylim=(0, 2.95), yticks=[])
    height = "" if narrow else "; height: share of the answer on the screen"
    axes.set_xlabel(f"seconds after the request was sent{height}")


def _lane(
    axes: Axes,
    base: float,
    name: str,
    shown: tuple[Floats, Floats],
    color: str,
    palette: Palette,
    end: float,
) -> None:
    stamps, share = shown[0] / 1e3, shown[1]
    first, last = float(stamps[0]), float(stamps[-1])
    axes.barh(base, first, LANE, align="edge", color=palette.blank, linewidth=0)
    x = np.array([first, *stamps, end * 1.04])
    y = base + LANE * np.array([0.0, *share, 1.0])
    axes.fill_between(x, base, y, step="post", color=color, alpha=0.9, linewidth=0)
    axes.plot([first, first], [base, base + LANE], color=color, linewidth=1.6)
    axes.text(0, base + LANE + 0.1, name, color=color, fontsize=12, weight="bold")
    axes.text(
        first / 2, base + LANE / 2, "blank\nscreen", ha="center", va="center", color=palette.muted
    )
    words = (
        f"first words {first:.2f} s, complete {last:.2f} s"
        if first < last
        else f"everything at {last:.2f} s"
    )
    axes.text(end * 1.04, base + LANE + 0.1, words, ha="right", color=palette.ink)


def cumulative_shares(
    axes: Axes, legacy: Floats, streaming: Floats, palette: Palette, *, from_zero: bool
) -> None:
    """For each stack the share of requests that were done within x; values in ms, drawn in seconds."""
    for values, color, name in (
        (legacy, palette.legacy, NAMES["legacy_flask"]),
        (streaming, palette.streaming, NAMES["fastapi_app"]),
    ):
        if len(values):
            _curve(axes, values, color, name)
    dress(axes, palette)
    axes.set(ylim=(0, 103), ylabel="% of requests", yticks=[0, 25, 50, 75, 100])
    axes.set_xlabel("seconds" if from_zero else "seconds (the axis does not start at zero)")
    if from_zero:
        axes.set_xlim(left=0)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        frameon=False,
        labelcolor="linecolor",
        handlelength=1.2,
        columnspacing=1.4,
        fontsize=10.5,
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
    begin = request.first_ms
    if len(request.token_ms):
        begin = float(request.token_ms[0])
        axes.step(
            request.token_ms / 1e3,
            100 * request.token_share,
            where="post",
            color=palette.model,
            label="written by the model",
            linewidth=1.4,
        )
    axes.step(
        np.array([begin, *request.chunk_ms]) / 1e3,
        100 * np.array([0.0, *request.chunk_share]),
        where="post",
        color=palette.streaming,
        label="arrived at the client",
        linewidth=1.8,
    )
    dress(axes, palette)
    axes.set(ylabel="% of the characters", xlabel="seconds after the request was sent")
    axes.set_ylim(bottom=0)
    if zoomed:
        _zoom(axes, request, begin)
    else:
        axes.set_xlim(left=0)
    axes.legend(
        loc="upper left", frameon=False, labelcolor="linecolor", handlelength=1.2, fontsize=10.5
    )


def _zoom(axes: Axes, request: Typical, begin: float) -> None:
    until = begin + ZOOM_MS
    seen = request.chunk_share[request.chunk_ms <= until]
    axes.set_xlim((begin - ZOOM_MS / 20) / 1e3, until / 1e3)
    axes.set_ylim(0, max(1.0, 135 * float(seen[-1]) if len(seen) else 1.0))
    axes.set_xlabel(f"the first {ZOOM_MS:.0f} ms of text, seconds after the request was sent")


def overheads(axes: Axes, summary: Summary, palette: Palette) -> None:
    """What each stack adds: the dot is the median, the bar reaches to p99, the tick is the maximum."""
    rows = [(label, found, color) for label, found, color in _overheads(summary, palette) if found]
    for place, (_, found, color) in enumerate(reversed(rows)):
        low, tail = max(found.p50, 0.01), max(found.tail, 0.01)
        axes.plot(
            [low, tail], [place, place], color=color, linewidth=5, alpha=0.45, solid_capstyle="butt"
        )
        axes.plot([tail, max(found.max, 0.01)], [place, place], color=color, linewidth=1)
        axes.plot(max(found.max, 0.01), place, "|", color=color, markersize=9)
        axes.plot(low, place, "o", color=color, markersize=7)
        axes.text(
            low,
            place + 0.24,
            f"{number(found.p50)} ms",
            ha="center",
            color=palette.ink,
            fontsize=10,
        )
    dress(axes, palette, left=False)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(ylim=(-0.5, len(rows) - 0.3), yticks=range(len(rows)))
    axes.set_yticklabels([label for label, _, _ in reversed(rows)], color=palette.ink)
    axes.set_xlabel("ms, logarithmic: median, to p99, to the maximum")


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
        axes.text(value or 0.0, place, f" {number(value)}", va="center", color=palette.ink)
    dress(axes, palette, left=False)
    axes.set(xlim=(0, max(*values, 1e-9) * 1.22), yticks=[0, 1])
    axes.set_yticklabels(["FastAPI", "Flask"], color=palette.ink)
    axes.set_title(label, loc="left", fontsize=11, color=palette.ink)
    axes.locator_params(axis="x", nbins=4)
