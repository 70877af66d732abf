"""report.html: one self-contained file, its HTML in the parts of the template beside this module."""

import re
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from loadtests.reporting import breakdown_tables, comparison, drawings, method
from loadtests.reporting.breakdown_tables import Pair, PairTable
from loadtests.reporting.comparison import ComparisonRow
from loadtests.reporting.drawings import Drawing
from loadtests.reporting.figures import Claim, Summary
from loadtests.reporting.summary import Measured
from loadtests.reporting.typical import Typical, typical

KINDS = {"legacy_flask": "legacy", "fastapi_app": "streaming", None: "article"}
PART = re.compile(r"<!-- part: (\w+) -->\n")
BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:s|ms|MiB|%)(?!\w))")


def page(measured: Measured) -> str:
    """The whole page; every text of the run is escaped."""
    summary = measured.summary
    request = typical(measured.legacy, measured.streaming)
    return _part(
        "page",
        headline=prose(comparison.headline(summary)),
        explanation=_lead(summary),
        eyebrow=escape(_eyebrow(measured)),
        banner=_banner(summary),
        time_lines=_time_lines(request),
        comparison="".join(_row(row) for row in comparison.rows(summary)),
        level=comparison.percent(summary.confidence.level),
        breakdown=_breakdown(summary),
        distributions=_distributions(measured),
        arrival=_arrival(measured, request),
        overheads=_overheads(measured),
        costs=_costs(measured),
        claims="".join(_claim(claim) for claim in summary.claims),
        checks="".join(_check(check) for check in method.checks(summary)),
        notes="".join(_part("reason", text=prose(note)) for note in method.notes(measured)),
        facts="".join(
            _part("fact", name=escape(name), value=escape(value))
            for name, value in method.facts(measured.run)
        ),
    )


def prose(text: str) -> str:
    """Text of the run for the page: escaped, and no figure parted from its unit by a line break."""
    return BEFORE_UNIT.sub("&nbsp;", escape(text))


@cache
def _parts() -> dict[str, Template]:
    text = files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    pieces = PART.split(text)
    return {name: Template(body) for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def _part(part: str, **values: str) -> str:
    return _parts()[part].substitute(values)


def _eyebrow(measured: Measured) -> str:
    run = measured.run
    load = f"{run.rate:g} requests a second" if run.rate else f"{run.users:,} users"
    return f"{run.scenario} \N{MIDDLE DOT} {run.requests:,} requests a stack \N{MIDDLE DOT} {load}"


def _lead(summary: Summary) -> str:
    text = comparison.explanation(summary)
    return _part("lead", text=prose(text)) if text else ""


def _banner(summary: Summary) -> str:
    if summary.valid:
        return _part("valid")
    reasons = "".join(_part("reason", text=prose(reason)) for reason in summary.invalid_reasons)
    return _part("invalid", reasons=reasons)


def _row(row: ComparisonRow) -> str:
    return _part(
        "comparison",
        label=escape(row.label),
        unit=escape(row.unit),
        note=prose(row.note),
        a50=row.legacy.p50,
        a_interval=row.legacy.interval,
        a95=row.legacy.p95,
        a99=row.legacy.p99,
        b50=row.streaming.p50,
        b_interval=row.streaming.interval,
        b95=row.streaming.p95,
        b99=row.streaming.p99,
        change=row.change,
    )


def _breakdown(summary: Summary) -> str:
    found = summary.breakdown
    return "".join(map(_pairs, breakdown_tables.tables(found))) if found else ""


def _pairs(table: PairTable) -> str:
    heads = (
        _part("pair_head", kind=KINDS[column.stack], name=escape(column.name))
        for column in table.columns
    )
    parts = (
        _part("pair_parts", first=column.parts[0], second=column.parts[1])
        for column in table.columns
    )
    return _part(
        "pairs",
        title=escape(table.title),
        note=prose(table.note),
        heads="".join(heads),
        parts="".join(parts),
        rows="".join(_pair_row(table, label, pairs) for label, pairs in table.rows),
    )


def _pair_row(table: PairTable, label: str, pairs: list[Pair]) -> str:
    cells = (
        _part("pair_cells", name=escape(column.name), first=escape(first), second=prose(second))
        for column, (first, second) in zip(table.columns, pairs, strict=True)
    )
    kind = "part" if label.startswith(" ") else "whole"
    return _part("pair_row", kind=kind, label=escape(label.strip()), cells="".join(cells))


def _claim(claim: Claim) -> str:
    return _part(
        "claim",
        id=claim.id,
        article=prose(claim.article),
        measured=prose(claim.measured),
        verdict=claim.verdict,
        kind=claim.verdict.replace(" ", "-"),
    )


def _check(check: method.Check) -> str:
    name, measured, limit = check
    return _part("check", name=escape(name), measured=measured, limit=limit)


def _time_lines(request: Typical | None) -> str:
    if request is None:
        return ""
    drawing = drawings.time_lines(request)
    name = escape(request.request_id)
    return _part("time_lines", wide=drawing.wide, narrow=drawing.narrow, request_id=name)


def _distributions(measured: Measured) -> str:
    if not measured.legacy.rows and not measured.streaming.rows:
        return ""
    first, total = drawings.first_content(measured), drawings.total(measured)
    return _part("distributions", **_pair("first", first), **_pair("total", total))


def _arrival(measured: Measured, request: Typical | None) -> str:
    if request is None:
        text = "No streamed answer with chunk stamps was recorded."
        return _part("not_measured", title="How the text arrives", text=text)
    whole, zoom = drawings.arrival(request, zoomed=False), drawings.arrival(request, zoomed=True)
    return _part(
        "arrival", **_pair("whole", whole), **_pair("zoom", zoom), coalesce=_coalesce(measured)
    )


def _coalesce(measured: Measured) -> str:
    rule = measured.run.coalesce
    return f" ({rule.tokens} tokens or {rule.window_ms:g} ms a chunk)" if rule else ""


def _overheads(measured: Measured) -> str:
    summary = measured.summary
    legacy, stream = summary.stacks.legacy_flask, summary.stacks.fastapi_app
    if legacy.api_overhead_ms is None and stream.api_overhead_ms is None:
        text = "Not measured: without the simulator's timeline the model's own time is unknown."
        return _part("not_measured", title="What each stack adds", text=text)
    drawing = drawings.overheads(measured)
    text = (
        "Time beyond the model's own, as the client sees it. Joining tokens into chunks is part of it: "
        "a token may wait for its chunk to fill."
    )
    return _part("overheads", wide=drawing.wide, narrow=drawing.narrow, text=text)


def _costs(measured: Measured) -> str:
    stream = measured.summary.stacks.fastapi_app
    legacy = measured.summary.stacks.legacy_flask
    if stream.cpu_ms_per_request is None and legacy.cpu_ms_per_request is None:
        text = "Not measured: the processes of the stacks were not under this run's control."
        return _part("not_measured", title="What it costs", text=text)
    drawing = drawings.costs(measured)
    text = (
        "The processes of the app alone, all workers; streaming costs CPU for every chunk it writes"
    )
    token = stream.cpu_us_per_token
    text += f": {comparison.number(token)} \N{MICRO SIGN}s a token." if token is not None else "."
    return _part("costs", wide=drawing.wide, narrow=drawing.narrow, text=text)


def _pair(name: str, drawing: Drawing) -> dict[str, str]:
    return {f"{name}_wide": drawing.wide, f"{name}_narrow": drawing.narrow}
