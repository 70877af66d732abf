"""The catalogue as a table: for the terminal after a run, for the guide without one."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.markup import escape
from rich.table import Column, Table

from tests.pitfalls.catalogue import Entry, Observation, Pitfall, Sighting, name_of
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
_ARTICLES_COLUMNS = ("the article says", "what is so", "fix")
_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"[\\`*_\[\]<&~$]")


def markdown(entries: Sequence[Entry], articles: bool) -> str:
    """The ordinary chapters, with a bold row before each; or the chapter on the articles."""
    if articles:
        rows = [_article(entry.PITFALL) for entry in entries if _chapter(entry) == ARTICLES]
        return _markdown(_ARTICLES_COLUMNS, rows)
    ordinary = [entry for entry in entries if _chapter(entry) != ARTICLES]
    return _markdown(_COLUMNS, _ordinary(ordinary))


def _ordinary(entries: Iterable[Entry]) -> Iterator[list[str]]:
    for chapter, members in groupby(entries, _chapter):
        yield [f"**{chapter.capitalize()}**"] + [""] * (len(_COLUMNS) - 1)
        for entry in members:
            told = entry.PITFALL
            words = (told.title, told.flask, told.fastapi, told.current or "", told.fixed, told.fix)
            yield [cell(word) for word in words]


def _article(told: Pitfall) -> list[str]:
    return [cell(told.article or ""), "<br>".join(map(cell, _what_is_so(told))), cell(told.fix)]


def _what_is_so(told: Pitfall) -> Iterator[str]:
    yield told.title
    if told.flask == told.fastapi:
        yield f"Flask and FastAPI: {told.flask}"
    else:
        yield f"Flask: {told.flask}"
        yield f"FastAPI: {told.fastapi}"
    if told.current is not None:
        yield f"current FastAPI: {told.current}"
    if told.fixed != told.fastapi_now:
        yield f"after the fix: {told.fixed}"


def _chapter(entry: Entry) -> str:
    return name_of(entry).split("/")[0]


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
