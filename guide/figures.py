"""What cog writes of the committed runs: every figure of the guide is printed here, from results/."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from guide.blocks import table
from guide.regions import ROOT
from loadtests.reporting import breakdown_tables, markdown
from loadtests.reporting.figures import Summary

RESULTS = ROOT / "results"


def say(template: str) -> None:
    """A paragraph with figures of the committed runs: `{compare[answers][compared]:,}`."""
    print(template.format_map(_Results()))


class _Results(dict[str, Any]):
    """results/<name>/summary.json by name."""

    def __missing__(self, name: str) -> Any:
        return json.loads((RESULTS / name / "summary.json").read_text("utf-8"))


def measured(*ids: str) -> None:
    """What an article says, and what the committed runs measured."""
    runs = (json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*/summary.json")))
    claims = {claim["id"]: claim for run in runs for claim in run.get("claims", ())}
    rows = (
        (one["article"], one["measured"], f"**{one['verdict']}**")
        for one in (claims[name] for name in ids)
    )
    table(("an article says", "measured", "verdict"), rows)


def production() -> None:
    """Both stacks with article B's answers, directly and through nginx, and where the time goes."""
    text = (RESULTS / "production" / "summary.json").read_bytes()
    found = msgspec.json.decode(text, type=Summary).breakdown
    tables = breakdown_tables.tables(found) if found else []
    print("\n\n".join(f"**{one.title}.** {one.note}\n\n{markdown.pairs(one)}" for one in tables))


def knobs(*groups: str) -> None:
    """What the committed `make knobs` says of each knob, in these groups of its rows."""
    head = (
        "",
        "first text, ms: p50",
        "p99",
        "gap, ms: p50",
        "held back",
        "µs a token: app",
        "nginx",
    )
    table(head, (row for group in groups for row in _group(group, len(head))))


def _group(name: str, width: int) -> Iterator[tuple[str, ...]]:
    yield (f"**{name}**", *[""] * (width - 1))
    for row in _Results()["knobs"]["rows"]:
        if row["group"] == name:
            yield (row["name"], *_turned(row["figures"]))


def _turned(figures: dict[str, Any]) -> Iterator[str]:
    first, gap = figures["first_content_ms"], figures["gap_ms"]
    yield from (f"{first['p50']:,.0f}", f"{first['p99']:,.0f}")
    yield f"{gap['p50']:,.0f}" if gap else ""
    yield f"{figures['held']} of {figures['streams']}" if figures["held"] else ""
    yield from (f"{figures['app_us']:.0f}", f"{figures['proxy_us']:.0f}")


def myths() -> None:
    """What the articles say, and what the committed `make myths` measured."""
    _said(group="articles")


def proxied_myths() -> None:
    """The same of what the step on the proxy deals with."""
    _said(guide="proxy")


def _said(**where: str) -> None:
    from tests.pitfalls.table import said

    items = _Results()["myths"]["items"]
    print(said(item for item in items if where.items() <= item.items()), end="")
