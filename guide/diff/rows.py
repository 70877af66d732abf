"""Two texts side by side: rows of lines, in stretches that are the same or changed; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Literal

from guide.diff import words
from guide.diff.words import Spans

CONTEXT = 3  # lines that stay visible beside a change
LEAST_FOLDED = 3  # a fold takes a line of its own
Kind = Literal["same", "changed", "folded"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A line of one side, counted from 1 as editors do; `spans` are its changed characters."""

    number: int
    text: str
    spans: Spans = ()


@dataclass(frozen=True, slots=True)
class Row:
    """What stands beside each other; a side that has nothing there is None."""

    left: Cell | None
    right: Cell | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows in order; those of a folded stretch are the same on both sides and far from any change."""

    kind: Kind
    rows: tuple[Row, ...]


def aligned(left: Sequence[Cell], right: Sequence[Cell]) -> list[Stretch]:
    """Every line of both sides once, in order."""
    return [
        Stretch("same" if same else "changed", tuple(rows))
        for same, rows in groupby(_rows(left, right), key=_same)
    ]


def _same(row: Row) -> bool:
    return bool(row.left and row.right and row.left.text == row.right.text)


def _rows(left: Sequence[Cell], right: Sequence[Cell]) -> Iterator[Row]:
    """Pairs of lines, with what changed within them; the lines between two pairs side by side as they come."""
    paired = words.pairs([cell.text for cell in left], [cell.text for cell in right])
    i = j = 0
    for a, b in [*paired, (len(left), len(right))]:
        yield from (Row(*cells) for cells in zip_longest(left[i:a], right[j:b]))
        if a < len(left):
            yield _changed(left[a], right[b])
        i, j = a + 1, b + 1


def _changed(left: Cell, right: Cell) -> Row:
    ours, theirs = words.changed(left.text, right.text)
    return Row(Cell(left.number, left.text, ours), Cell(right.number, right.text, theirs))


def cells(lines: Sequence[str], first: int = 1) -> list[Cell]:
    """Lines as cells, numbered from `first`."""
    return [Cell(number, text) for number, text in enumerate(lines, first)]


def folded(stretches: Sequence[Stretch]) -> list[Stretch]:
    """The same rows, with those that are more than CONTEXT lines from a change in stretches of their own."""
    return [
        piece
        for place, stretch in enumerate(stretches)
        for piece in (
            [stretch]
            if stretch.kind == "changed"
            else _cut(stretch.rows, CONTEXT * (place > 0), CONTEXT * (place + 1 < len(stretches)))
        )
    ]


def _cut(rows: tuple[Row, ...], before: int, after: int) -> list[Stretch]:
    end = len(rows) - after
    if end - before < LEAST_FOLDED:
        return [Stretch("same", rows)]
    pieces = (
        Stretch("same", rows[:before]),
        Stretch("folded", rows[before:end]),
        Stretch("same", rows[end:]),
    )
    return [piece for piece in pieces if piece.rows]
