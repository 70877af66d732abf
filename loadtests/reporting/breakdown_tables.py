"""Article B's figures as tables of text: one source for the terminal, the Markdown and the page."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.reporting import production_claims as article
from loadtests.reporting.comparison import DASH, number, tenths
from loadtests.reporting.figures import Breakdown, Stages, WayFigures
from loadtests.reporting.records import STACKS, StackName
from loadtests.scenarios import Way
from loadtests.stats import Distribution

NAMES: dict[StackName, str] = {"legacy_flask": "Flask", "fastapi_app": "FastAPI"}
PLACES: dict[Way, str] = {"direct": "direct", "nginx": "nginx"}
WAYS: dict[Way, str] = {"direct": "direct", "nginx": "through nginx"}
Pair = tuple[str, str]
NONE: Pair = ("", "")
"""Where there can be no figure."""
UNKNOWN: Pair = (DASH, "")
"""Where there could be one, and none was measured."""


@dataclass(frozen=True)
class Column:
    """Two figures wide; `stack` is None for the article's own."""

    stack: StackName | None
    place: str
    parts: Pair

    @property
    def name(self) -> str:
        return f"{NAMES[self.stack]}, {self.place}" if self.stack else self.place


@dataclass(frozen=True)
class PairTable:
    """Rows of a label and a pair of figures for each column."""

    title: str
    note: str
    columns: list[Column]
    rows: list[tuple[str, list[Pair]]]


def tables(found: Breakdown) -> list[PairTable]:
    """First what a client waits for by each way, then where the time goes."""
    return [_waits(found), _stages(found)]


def _waits(found: Breakdown) -> PairTable:
    rows = [
        ("Time to first byte, ms", [_spread(one.first_byte_ms) for _, _, one in _each(found)]),
        ("First content, ms", [_spread(one.first_content_ms) for _, _, one in _each(found)]),
        ("First words painted, ms", [_painted(found, *at) for at in _places(found)]),
        ("Whole answer, ms", [_spread(one.total_ms) for _, _, one in _each(found)]),
        ("CPU of nginx, ms a request", [_cpu(way, one) for _, way, one in _each(found)]),
    ]
    return PairTable(
        title="Direct, and through nginx as it is shipped",
        note=f"{_counts(found)} {_browser(found)}",
        columns=[_column(stack, way, ("p50", "p99")) for stack, way, _ in _each(found)],
        rows=rows,
    )


def _counts(found: Breakdown) -> str:
    told = (
        f"{WAYS[way]} {max(one.requests for one in stacks.values()):,}"
        for way, stacks in found.ways.items()
    )
    return f"Requests a stack: {', '.join(told)}; the two ways are never pooled."


def _browser(found: Breakdown) -> str:
    if not found.visible_ms:
        return "What a browser paints was not measured."
    n = min(one.n for one in found.visible_ms.values())
    return f"Painted: from the click to the paint of the first words, {found.visible_by}, {n} answers each."


def _painted(found: Breakdown, stack: StackName, way: Way) -> Pair:
    """The browser comes by one way alone: through nginx where it is."""
    came_by = "nginx" if "nginx" in found.ways else "direct"
    return _spread((found.visible_ms or {}).get(stack)) if way == came_by else UNKNOWN


def _spread(measured: Distribution | None) -> Pair:
    return (number(measured.p50), number(measured.p99)) if measured else UNKNOWN


def _cpu(way: Way, one: WayFigures) -> Pair:
    return (number(one.proxy_cpu_ms_per_request), "") if way == "nginx" else NONE


def _stages(found: Breakdown) -> PairTable:
    return PairTable(
        title="Where the time goes",
        note=(
            "Median, and share of the mean. Flask: of the whole answer. FastAPI: until the first content, so "
            "the model's part is its first token. Writing the JSON is timed apart, in the load side's process, "
            "on the body of a batch answer; the row below it is the difference. Agent selection and context "
            "assembly are no part of these stacks. The article's parts add up to 9,416 ms, its shares are of "
            "9,400."
        ),
        columns=[
            Column(None, "article", ("ms", "share")),
            *(_column(stack, way, ("ms", "share")) for stack, way, _ in _each(found)),
        ],
        rows=list(_stage_rows(found)),
    )


def _stage_rows(found: Breakdown) -> Iterator[tuple[str, list[Pair]]]:
    parts = [_parts(stack, one, found.serialisation_ms) for stack, _, one in _each(found)]
    labels = {
        "Agent selection (vector search)": article.ARTICLE_SEARCH_MS,
        "Context assembly": article.ARTICLE_CONTEXT_MS,
        "Until the model has the request": None,
        "Waiting for the model": article.ARTICLE_MODEL_MS,
        "From the model to the client": None,
        "  of it writing the JSON": article.ARTICLE_JSON_MS,
        "  of it HTTP response, the rest": article.ARTICLE_RESPONSE_MS,
        "In all": article.ARTICLE_BATCH_MS,
    }
    for place, (label, claimed) in enumerate(labels.items()):
        told = _of(claimed, article.ARTICLE_BATCH_MS) if claimed else NONE
        yield label, [told, *(part[place] for part in parts)]


def _parts(stack: StackName, one: WayFigures, json: Distribution | None) -> list[Pair]:
    """The cells of one column, in the order of the rows."""
    stages = one.stages
    if stages is None:
        return [UNKNOWN] * 8
    until, model, onwards = (
        (number(spread.p50), tenths(share))
        for spread, share in zip(_spreads(stages), stages.shares, strict=True)
    )
    whole = sum(spread.mean for spread in _spreads(stages))
    written, rest = NONE, NONE
    if stack == "legacy_flask" and json:
        written = _of(json.p50, whole)
        rest = _of(stages.from_model_ms.p50 - json.p50, whole)
    in_all = one.total_ms if stack == "legacy_flask" else one.first_content_ms
    last = (number(in_all.p50 if in_all else None), tenths(1))
    return [NONE, NONE, until, model, onwards, written, rest, last]


def _spreads(stages: Stages) -> tuple[Distribution, Distribution, Distribution]:
    return stages.until_model_ms, stages.model_ms, stages.from_model_ms


def _of(part: float, whole: float) -> Pair:
    return number(part), tenths(part / whole)


def _places(found: Breakdown) -> list[tuple[StackName, Way]]:
    """Stack by stack, its ways side by side."""
    return [(stack, way) for stack in STACKS for way in found.ways]


def _each(found: Breakdown) -> Iterator[tuple[StackName, Way, WayFigures]]:
    for stack, way in _places(found):
        yield stack, way, found.ways[way][stack]


def _column(stack: StackName, way: Way, parts: Pair) -> Column:
    return Column(stack, PLACES[way], parts)
