"""The catalogue: what teams trip over, and where the articles are wrong; each entry is shown by running it."""

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol, cast

from tests.pitfalls.ground import Application, Ground

CHAPTERS = ("requests", "responses", "guards", "running", "articles")
MYTHS = ("articles", "proxy")
"""What `make myths` tries; how nginx passes streams on is the same on every line of FastAPI."""


@dataclass(frozen=True, slots=True)
class Pitfall:
    """One entry; `flask`, `fastapi` and `fixed` are the very words that the probe observes.

    `fastapi` is what FastAPI 0.115.14 shows, `current` what today's FastAPI shows where that has changed.
    `article` is what an article says, in our words, where one is wrong, and `number` its place among those;
    `guide` is the slug of the step of the guide that deals with it.
    """

    title: str
    flask: str
    fastapi: str
    fixed: str
    fix: str
    guide: str
    current: str | None = None
    article: str | None = None
    number: int | None = None

    @property
    def fastapi_now(self) -> str:
        return self.fastapi if self.current is None else self.current


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen, in the words of the entry; `evidence` is a line with the figures of this one time."""

    flask: str
    fastapi: str
    fixed: str
    evidence: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an entry showed when it was tried, or why it showed nothing."""

    seen: Observation | None
    raised: str = ""


class Entry(Protocol):
    """A module of the catalogue."""

    __name__: str
    PITFALL: Pitfall

    def observe(self, ground: Ground) -> Observation: ...


def catalogue() -> list[Entry]:
    """Every module of the five chapters, in the order in which the guide's table has them."""
    return [entry_of(name) for name in names()]


def names(chapters: Sequence[str] = CHAPTERS) -> list[str]:
    """The names of all entries, in the order of the catalogue; imports none of them."""
    return [
        f"{chapter}/{module.name.replace('_', '-')}"
        for chapter in chapters
        for module in pkgutil.iter_modules(import_module(f"{__package__}.{chapter}").__path__)
    ]


def entry_of(name: str) -> Entry:
    """The entry `requests/path-int`."""
    module = name.replace("/", ".").replace("-", "_")
    return cast(Entry, import_module(f"{__package__}.{module}"))


def chapter_of(entry: Entry) -> str:
    return name_of(entry).split("/")[0]


def name_of(entry: Entry) -> str:
    """`requests/path-int` for the module `tests.pitfalls.requests.path_int`."""
    *_, chapter, module = entry.__name__.split(".")
    return f"{chapter}/{module.replace('_', '-')}"


def myths() -> list[Entry]:
    """The entries that say what is wrong in the articles, then those on nginx, each by their numbers."""
    entries = [entry_of(name) for name in names(MYTHS)]
    return sorted(entries, key=lambda one: (MYTHS.index(chapter_of(one)), one.PITFALL.number or 0))


def each(
    ground: Ground,
    probe: Callable[[str], str],
    flask: Application,
    fastapi: Application,
    fixed: Application,
) -> Observation:
    """The same probe, given the address, against three small apps in their turn."""
    seen = []
    for application in (flask, fastapi, fixed):
        with ground.serving(application) as url:
            seen.append(probe(url))
    return Observation(*seen)
