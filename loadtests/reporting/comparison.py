"""The comparison as rows of text: one source for the terminal, the Markdown, the page and the picture."""

from dataclasses import dataclass

from loadtests.reporting.figures import Intervals, Summary
from loadtests.stats import Distribution

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
BATCH_NOTE = "batch: equals the total: a batch answer is usable only at its end"


@dataclass(frozen=True)
class Cells:
    """One stack's side of a row; a plain figure has only `p50`, empty text is a figure that cannot be."""

    p50: str = ""
    p95: str = ""
    p99: str = ""
    interval: str = ""


@dataclass(frozen=True)
class ComparisonRow:
    """One measured thing on both stacks; `change` is that of the median."""

    label: str
    unit: str
    legacy: Cells
    streaming: Cells
    change: str = ""
    note: str = ""


def rows(summary: Summary) -> list[ComparisonRow]:
    """The comparison, top to bottom: what a user waits for, what the stack adds, what it costs."""
    return [*_both(summary), *_stream_only(summary), *_plain(summary)]


def _both(summary: Summary) -> list[ComparisonRow]:
    return [
        _row(summary, "first_content_ms", "Time to first content", BATCH_NOTE),
        _row(summary, "total_ms", "Total", "the whole answer"),
        _row(summary, "api_overhead_ms", "API overhead", "the total less the model's own time"),
    ]


def _stream_only(summary: Summary) -> list[ComparisonRow]:
    return [
        _row(summary, "first_chunk_delay_ms", "First-chunk delay", "after the model's first token"),
        _row(summary, "inter_chunk_ms", "Gap between chunks", "as they arrive at the client"),
        _row(summary, "relay_lag_ms", "Relay lag", "from the model's token to the client's chunk"),
    ]


def _plain(summary: Summary) -> list[ComparisonRow]:
    before, after = summary.stacks.legacy_flask, summary.stacks.fastapi_app
    return [
        _figures("CPU per request", "ms", before.cpu_ms_per_request, after.cpu_ms_per_request),
        ComparisonRow("CPU per token", "µs", Cells(), Cells(number(after.cpu_us_per_token))),
        _figures("Peak memory", "MiB", before.rss_peak_mib, after.rss_peak_mib),
        _figures("Requests per second", "", before.requests_per_s, after.requests_per_s),
        ComparisonRow("Errors", "", Cells(f"{before.errors:,}"), Cells(f"{after.errors:,}")),
    ]


def _row(summary: Summary, name: str, label: str, note: str) -> ComparisonRow:
    """One distribution of both stacks, or of the streaming one where the batch stack cannot have it."""
    streamed_only = not hasattr(summary.stacks.legacy_flask, name)
    before = getattr(summary.stacks.legacy_flask, name, None)
    after = getattr(summary.stacks.fastapi_app, name)
    confidence = summary.confidence
    legacy = Cells() if streamed_only else _cells(before, confidence.legacy_flask.get(name))
    streaming = _cells(after, confidence.fastapi_app.get(name))
    delta = change(before.p50, after.p50) if before and after else ""
    return ComparisonRow(label, "ms", legacy, streaming, delta, note)


def _figures(label: str, unit: str, before: float | None, after: float | None) -> ComparisonRow:
    delta = change(before, after) if before is not None and after is not None else ""
    return ComparisonRow(label, unit, Cells(number(before)), Cells(number(after)), delta)


def _cells(measured: Distribution | None, intervals: Intervals | None) -> Cells:
    if measured is None:
        return Cells(DASH, DASH, DASH)
    bounds = intervals.p50 if intervals else None
    return Cells(
        number(measured.p50),
        number(measured.p95),
        number(measured.p99),
        _around(*bounds) if bounds else "",
    )


def _around(low: float, high: float) -> str:
    """An interval; with a decimal more where its ends would otherwise look the same."""
    ends = [number(low), number(high)]
    if ends[0] == ends[1]:
        ends = [f"{low:,.1f}", f"{high:,.1f}"]
    return DASH.join(ends)


def number(value: float | None) -> str:
    """Three significant places, thousands grouped; a dash for what was not measured."""
    if value is None:
        return DASH
    places = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{places}f}".replace("-", MINUS)


def change(before: float, after: float) -> str:
    """The relative change; nothing where it would divide by zero, a factor where it is large."""
    if before <= 0 or after <= 0:
        return ""
    if after / before >= 3:
        return f"{after / before:.1f} \N{MULTIPLICATION SIGN}"
    return percent(after / before - 1, sign=True)


def percent(share: float, *, sign: bool = False) -> str:
    """A share as whole percent, on request with its sign; a zero has none."""
    rounded = round(100 * share)
    text = f"{rounded:+d}" if sign and rounded else f"{rounded:d}"
    return f"{text} %".replace("-", MINUS)


def tenths(share: float) -> str:
    """A share in tenths of a percent; what is there is not shown as nothing, nor as all."""
    rounded = round(100 * share, 1)
    if 0 < share < 1 and rounded in (0, 100):
        return "> 99.9 %" if rounded else "< 0.1 %"
    return "100 %" if rounded == 100 else f"{rounded:.1f} %"


def seconds(milliseconds: float) -> str:
    """For sentences: two decimals."""
    return f"{milliseconds / 1000:.2f} s"


def headline(summary: Summary) -> str:
    """The answer in one sentence, or that there is none."""
    before = summary.stacks.legacy_flask.first_content_ms
    after = summary.stacks.fastapi_app.first_content_ms
    if not summary.valid:
        return "INVALID run: it proves nothing about the stacks"
    if before is None or after is None:
        return "Nothing to compare"
    return f"First words after {seconds(after.p50)} instead of {seconds(before.p50)}"


def explanation(summary: Summary) -> str:
    """What stands below the headline of a valid run: how much sooner, and what streaming does not change."""
    legacy, stream = summary.stacks.legacy_flask, summary.stacks.fastapi_app
    if not (
        legacy.first_content_ms and stream.first_content_ms and legacy.total_ms and stream.total_ms
    ):
        return ""
    if not summary.valid:
        return ""
    sooner = 1 - stream.first_content_ms.p50 / legacy.first_content_ms.p50
    return (
        f"The same {summary.requests:,} requests against each stack, "
        f"{summary.answers.identical:,} of {summary.answers.compared:,} answers identical. "
        f"At the median the first content is there {percent(sooner)} sooner. The whole answer takes "
        f"{seconds(stream.total_ms.p50)} instead of {seconds(legacy.total_ms.p50)}"
        f"{_overheads(summary)}."
    )


def _overheads(summary: Summary) -> str:
    before, after = (
        summary.stacks.legacy_flask.api_overhead_ms,
        summary.stacks.fastapi_app.api_overhead_ms,
    )
    if before is None or after is None:
        return ""
    return (
        f": that time is the model's, to which the streaming stack adds {number(after.p50)} ms "
        f"and the batch stack {number(before.p50)} ms"
    )
