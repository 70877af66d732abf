"""Named regions of a source: a line `# region: name` begins one, and it lasts until the next; pure."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT, RIGHT = "legacy_flask", "fastapi_app"
MARK = re.compile(r"^ *# region: ([a-z][a-z-]*)$")


@dataclass(frozen=True, slots=True)
class Region:
    """Lines `first` to `last` of a file, counted from 1 as editors do.

    The first region of a file begins at its first line: the imports go with it. A mark belongs to its region.
    """

    name: str
    first: int
    last: int


def regions(source: str) -> list[Region]:
    """In the order of the file, without a gap; empty for a source without marks.

    Raises ValueError when two have the same name.
    """
    lines = source.splitlines()
    marks = [(found[1], n) for n, line in enumerate(lines, 1) if (found := MARK.match(line))]
    if len({name for name, _ in marks}) < len(marks):
        raise ValueError("two regions of one file have the same name")
    ends = [first - 1 for _, first in marks[1:]] + [len(lines)]
    starts = [1] + [first for _, first in marks[1:]]
    return [
        Region(name, first, last)
        for (name, _), first, last in zip(marks, starts, ends, strict=False)
    ]


def text_of(source: str, region: Region, *, head: bool = True) -> list[str]:
    """The lines of a region without its mark, its indentation, and blank lines around it.

    `head` says whether what precedes the mark of a file's first region comes with it.
    """
    lines = source.splitlines()[region.first - 1 : region.last]
    mark = next(index for index, line in enumerate(lines) if MARK.match(line))
    kept = (lines[:mark] if head else []) + lines[mark + 1 :]
    return textwrap.dedent("\n".join(kept)).strip("\n").splitlines()


def twins(root: Path = ROOT) -> list[str]:
    """The names of the files that both apps have."""
    left, right = ({path.name for path in (root / app).glob("*.py")} for app in (LEFT, RIGHT))
    return sorted(left & right)


def named(root: Path, path: str) -> Iterator[Region]:
    """The regions of a file, such as `fastapi_app/routes.py`."""
    yield from regions((root / path).read_text("utf-8"))
