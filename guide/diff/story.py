"""What the page shows, in the order in which the guide explains it: files, and their regions as hunks; pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from guide.diff.rows import Cell, Row, Stretch, aligned, cells, folded
from guide.regions import LEFT, RIGHT, Region, regions
from guide.steps import Step
from loadtests.ledger import Difference

Sources = Mapping[str, str]  # text by path inside an app


@dataclass(frozen=True)
class Hunk:
    """A region of both twins, or of a file that one app has alone; `name` is "" for a file without marks."""

    ref: str
    name: str
    stretches: tuple[Stretch, ...]
    steps: tuple[Step, ...]
    causes: tuple[Difference, ...]

    @cached_property
    def removed(self) -> int:
        """Lines that only legacy_flask has."""
        return sum(row.left is not None for row in self._changes())

    @cached_property
    def added(self) -> int:
        """Lines that only fastapi_app has."""
        return sum(row.right is not None for row in self._changes())

    @property
    def anchor(self) -> str:
        """Its id in the page."""
        return _anchor("hunk", self.ref)

    @property
    def changed(self) -> bool:
        """Whether the apps differ in it."""
        return any(one.kind == "changed" for one in self.stretches)

    def _changes(self) -> Iterator[Row]:
        return (row for one in self.stretches if one.kind == "changed" for row in one.rows)


@dataclass(frozen=True)
class File:
    """`name` is `routes.py` for twins; `fastapi_app/sse.py` for a file that one app has alone, for a reason."""

    name: str
    left: str | None
    right: str | None
    reason: str
    hunks: tuple[Hunk, ...]

    @property
    def alone(self) -> bool:
        """Whether one app has it alone."""
        return self.left is None or self.right is None

    @property
    def paths(self) -> list[str]:
        """Its one path in the repository, or its two."""
        return [self.name] if self.alone else [f"{LEFT}/{self.name}", f"{RIGHT}/{self.name}"]

    @property
    def anchor(self) -> str:
        """Its id in the page."""
        return _anchor("file", self.name)

    @property
    def removed(self) -> int:
        """Lines that only legacy_flask has."""
        return sum(hunk.removed for hunk in self.hunks)

    @property
    def added(self) -> int:
        """Lines that only fastapi_app has."""
        return sum(hunk.added for hunk in self.hunks)


@dataclass(frozen=True)
class Story:
    """All that the page shows of the apps, with the steps of the guide and the ledger that it links to."""

    files: tuple[File, ...]
    steps: tuple[Step, ...]
    ledger: tuple[Difference, ...]

    def step(self, slug: str) -> Step | None:
        """The step that a ledger entry names."""
        return next((step for step in self.steps if step.slug == slug), None)


def story(
    left: Sources,
    right: Sources,
    only_in: Mapping[str, str],
    steps: Sequence[Step],
    ledger: Sequence[Difference],
) -> Story:
    """The files of both apps: first those that a step shows, in the order of the steps, then the rest."""
    twins = left.keys() & right.keys()
    links = _Links(twins, steps, ledger)
    files = [
        *(_twin(path, left[path], right[path], links) for path in twins),
        *(_alone(LEFT, path, left[path], only_in, links) for path in left.keys() - twins),
        *(_alone(RIGHT, path, right[path], only_in, links) for path in right.keys() - twins),
    ]
    order = links.order()
    files.sort(key=lambda file: (order.get(file.name, len(order)), file.name))
    return Story(tuple(files), tuple(steps), tuple(ledger))


def _anchor(kind: str, ref: str) -> str:
    """The id of a file or a hunk: `hunk-routes.py-body` for `routes.py#body`."""
    return f"{kind}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', ref)}"


class _Links:
    """Which steps show a region, and which differences it causes."""

    def __init__(
        self, twins: Iterable[str], steps: Sequence[Step], ledger: Sequence[Difference]
    ) -> None:
        self._apart = {f"{app}/{path}": path for app in (LEFT, RIGHT) for path in twins}
        self._shown = [(step, set(map(self._ref, step.shown))) for step in steps]
        self._causes = [(one, set(map(self._ref, one.cause))) for one in ledger]
        self._steps = steps

    def steps(self, ref: str) -> tuple[Step, ...]:
        return tuple(step for step, shown in self._shown if shown & _names(ref))

    def causes(self, ref: str) -> tuple[Difference, ...]:
        return tuple(one for one, causes in self._causes if causes & _names(ref))

    def order(self) -> dict[str, int]:
        """The place of each file in the guide."""
        refs = (self._ref(shown) for step in self._steps for shown in step.shown)
        return {
            name: place
            for place, name in enumerate(dict.fromkeys(ref.split("#")[0] for ref in refs))
        }

    def _ref(self, named: str) -> str:
        """`fastapi_app/delivery.py#leaving` is one side of `delivery.py#leaving`."""
        path, mark, region = named.partition("#")
        return self._apart.get(path, path) + mark + region


def _names(ref: str) -> set[str]:
    """A region is named by itself, or by its whole file."""
    return {ref, ref.split("#")[0]}


def _twin(path: str, left: str, right: str, links: _Links) -> File:
    ours, theirs = _parts(left), _parts(right)
    hunks = (
        _hunk(path, name, ours.get(name, []), theirs.get(name, []), links)
        for name in _in_order([*ours], [*theirs])
    )
    return File(path, left, right, "", tuple(hunks))


def _alone(app: str, path: str, text: str, only_in: Mapping[str, str], links: _Links) -> File:
    name = f"{app}/{path}"
    hunks = (
        _hunk(name, region, *((lines, []) if app == LEFT else ([], lines)), links)
        for region, lines in _parts(text).items()
    )
    left, right = (text, None) if app == LEFT else (None, text)
    return File(name, left, right, only_in.get(name, ""), tuple(hunks))


def _hunk(
    file: str, region: str, left: Sequence[Cell], right: Sequence[Cell], links: _Links
) -> Hunk:
    ref = f"{file}#{region}" if region else file
    stretches = tuple(folded(aligned(left, right)))
    return Hunk(ref, region, stretches, links.steps(ref), links.causes(ref))


def _parts(source: str) -> dict[str, list[Cell]]:
    """The lines of each region; of the whole file, without a name, where no mark is."""
    lines = source.splitlines()
    marked = regions(source) or [Region("", 1, len(lines))]
    return {one.name: cells(lines[one.first - 1 : one.last], one.first) for one in marked}


def _in_order(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """The regions of the right, each that only the left has after the one before it there."""
    names = list(right)
    for place, name in enumerate(left):
        if name not in names:
            names.insert(names.index(left[place - 1]) + 1 if place else 0, name)
    return names
