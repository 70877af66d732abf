"""The catalogue as a table: for the terminal after a run, for the guide without one."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from tests.pitfalls.catalogue import Entry, Observation, Sighting, chapter_of
from tests.pitfalls.verdict import Verdict

ARTICLES = "articles"
_COLUMNS = (
    "what",
    "Flask",
    "FastAPI 0.115",
    "current FastAPI, where changed",
    "after the fix",
    "fix",
)
_SAID_COLUMNS = ("it is said", "what is so", "evidence", "fix")
_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"[\\`*_\[\]<&~$]")


def markdown(entries: Sequence[Entry]) -> str:
    """The chapters but that on the articles, with a bold row before each."""
    ordinary = [entry for entry in entries if chapter_of(entry) != ARTICLES]
    return _markdown(_COLUMNS, _ordinary(ordinary))


def said(items: Iterable[Mapping[str, Any]]) -> str:
    """Items of the summary.json of `make myths`."""
    return _markdown(_SAID_COLUMNS, map(_said, items))


def _ordinary(entries: Iterable[Entry]) -> Iterator[list[str]]:
    for chapter, members in groupby(entries, chapter_of):
        yield [f"**{chapter.capitalize()}**"] + [""] * (len(_COLUMNS) - 1)
        for entry in members:
            told = entry.PITFALL
            words = (told.title, told.flask, told.fastapi, told.current or "", told.fixed, told.fix)
            yield [cell(word) for word in words]


def _said(item: Mapping[str, Any]) -> list[str]:
    so = "<br>".join(map(cell, item["measured"].split("\n")))
    return [cell(item["article"]), so, cell(item["evidence"]), cell(item["fix"])]


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(words: str) -> str:
    """Words as one cell of a Markdown table; what stands between two backticks stays code."""
    parts = _CODE.split(" ".join(words.split()))
    # In a table a pipe ends the cell in code too, and there alone a backslash before it is taken away.
    return "".join(
        part.replace("|", r"\|") if _CODE.fullmatch(part) else _escaped(part) for part in parts
    )


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text).replace("|", r"\|")


def terminal(verdicts: Sequence[Verdict], pinned: str, current: str) -> Table:
    """What was seen, entry by entry; `pinned` and `current` are the versions of FastAPI."""
    heads = ("Flask", f"FastAPI {pinned}", f"FastAPI {current}", "with the fix", "shown")
    columns = [Column(head, overflow="fold", ratio=1) for head in ("entry, what", *heads)]
    columns[0].ratio, columns[-1].ratio = 2, None
    table = Table(*columns, title="What a migration trips over", show_lines=True, expand=True)
    for verdict in verdicts:
        table.add_row(*_row(verdict))
    return table


def _row(verdict: Verdict) -> list[str]:
    pinned, current = _words(verdict.pinned), _words(verdict.current)
    what = f"[bold]{escape(verdict.name)}[/]\n{escape(verdict.pitfall.title)}"
    same = current.fastapi == pinned.fastapi
    changed = "-" if same else f"[yellow]changed:[/] {escape(current.fastapi)}"
    shown = "yes" if verdict.shown else "[bold red]NO[/]"
    return [
        what,
        escape(pinned.flask),
        escape(pinned.fastapi),
        changed,
        escape(pinned.fixed),
        shown,
    ]


def _words(sighting: Sighting) -> Observation:
    return sighting.seen or Observation("?", "?", "?")


def told_and_seen(items: Iterable[Mapping[str, Any]]) -> Table:
    """Items of the summary.json of `make myths`: what is said, what was seen, the evidence and the fix."""
    table = Table("item", "", "", "shown", title="What is said, and what is so", expand=True)
    table.columns[2].ratio = 1
    for item in items:
        what = f"[bold]{escape(item['name'])}[/]\n{item['group']} {item['item']}"
        words = ("article", "measured", "evidence", "fix")
        for number, key in enumerate(words):
            first, last = number == 0, key == words[-1]
            shown = "yes" if item["shown"] else "[bold red]NO[/]"
            table.add_row(
                what if first else "",
                "is said" if first else key,
                escape(item[key] or ""),
                shown if first else "",
                end_section=last,
            )
    return table
