"""Where the plots are drawn: colours for the page and for a picture, and figures as inline SVG.

On the page a colour is a CSS variable, so that one drawing serves the light and the dark scheme.
matplotlib knows no variables: it draws with the colours of `MARKERS`, which are replaced in its SVG.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SVG_UNITS_PER_INCH = 72
"""matplotlib's SVG unit is the point; with one point for one CSS pixel a font size is in pixels."""


@dataclass(frozen=True)
class Palette:
    """The colours of a drawing; the field names are the CSS variables of the page."""

    ink: str
    muted: str
    grid: str
    blank: str
    legacy: str
    streaming: str
    model: str


MARKERS = Palette("#010101", "#020202", "#030303", "#040404", "#050505", "#060606", "#070707")
PRINT = Palette("#1d2327", "#5d676e", "#d9dee1", "#e9ecee", "#b4502a", "#0b7a75", "#8a949b")
SETTINGS = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.linewidth": 0.8,
    "hatch.linewidth": 0.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.unicode_minus": True,
}


@contextmanager
def settings() -> Iterator[None]:
    """matplotlib's settings for our drawings, and no one else's."""
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type] # the stub lists every key as a literal
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure of so many CSS pixels."""
    inches = (width / SVG_UNITS_PER_INCH, height / SVG_UNITS_PER_INCH)
    return Figure(figsize=inches, layout="constrained")


def dress(axes: Axes, palette: Palette, *, left: bool = True) -> None:
    """Quiet axes: no box, muted ticks, a grid along x alone."""
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom" or (left and side == "left"))
        spine.set_color(palette.grid)
    axes.tick_params(colors=palette.muted, labelsize=11, length=3, color=palette.grid)
    axes.xaxis.label.set_color(palette.muted)
    axes.yaxis.label.set_color(palette.muted)
    axes.grid(axis="x", color=palette.grid, linewidth=0.7)
    axes.set_axisbelow(True)


def svg(drawing: Figure, label: str, name: str) -> str:
    """The figure as one <svg> element for a page: its colours are CSS variables, its width is its container's.

    `name` is unique in the page: ids are made from it, and a hidden figure must not own the ids of a shown one.
    """
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        drawing.savefig(
            text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    element = text.getvalue()
    element = element[element.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>\s*", "", element, flags=re.DOTALL)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    element = element.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    for field in fields(Palette):
        element = element.replace(getattr(MARKERS, field.name), f"var(--{field.name})")
    return element
