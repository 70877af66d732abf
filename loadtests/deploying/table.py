"""The passes of a rolling deploy beside each other."""

from collections.abc import Callable

from rich.table import Table

from loadtests.deploying.outcome import Outcome
from loadtests.stats import Distribution

ROWS: dict[str, Callable[[Outcome], str]] = {
    "grace": lambda one: f"{one.grace_s:g} s",
    "answers begun, finished, lost": lambda one: f"{one.answers}, {one.finished}, {one.lost}",
    "streams told draining, broken off": lambda one: f"{one.told}, {one.broken_off}",
    "of them asked again, resumed": lambda one: f"{one.asked_again}, {one.resumed}",
    "whole texts": lambda one: f"{one.whole}",
    "requests during the roll": lambda one: f"{one.requests}",
    "refused": lambda one: f"{one.refused}",
    "sent again by nginx, by status": lambda one: _counts(one.sent_again),
    "first text before, p50 / p99": lambda one: _spread(one.first_content_before_ms),
    "first text during the roll": lambda one: _spread(one.first_content_during_ms),
    "silence of resumed sessions": lambda one: _spread(one.silence_ms),
    "tokens made twice": lambda one: f"{one.twice:,} of {one.tokens:,}",
    "each stopped after": lambda one: _seconds([each.stopped_s for each in one.backends]),
    "each ready again after": lambda one: _seconds([each.ready_s for each in one.backends]),
}


def table(passes: dict[str, Outcome]) -> Table:
    printed = Table("", title="A rolling deploy")
    for name in passes:
        printed.add_column(f"{name} grace", justify="right")
    for title, shown in ROWS.items():
        printed.add_row(title, *(shown(one) for one in passes.values()))
    return printed


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} after {status}" for status, count in counts.items()) or "none"


def _spread(spread: Distribution | None) -> str:
    return "" if spread is None else f"{spread.p50:,.0f} / {spread.tail:,.0f} ms"


def _seconds(values: list[float]) -> str:
    return ", ".join(f"{value:.1f} s" for value in values)
