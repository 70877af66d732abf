"""Reads the page of `make diff` as its reader does, and says what is wrong with it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from guide.regions import LEFT, RIGHT, twins


@dataclass
class Side:
    """The lines of one app's file as the page has them, with whether each is marked as changed."""

    numbers: list[int] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    changed: list[bool] = field(default_factory=list)

    def unchanged(self) -> list[str]:
        return [line for line, apart in zip(self.lines, self.changed, strict=True) if not apart]


class Page(HTMLParser):
    """What a reader of the page's source finds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.links_in: dict[str, list[str]] = defaultdict(list)
        self.texts: dict[str, str] = defaultdict(str)
        self.sides: dict[str, Side] = defaultdict(Side)
        self._places: list[tuple[str, str]] = []
        self._file, self._column = "", -1
        self._table: list[str] = []
        self._cell: Side | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        if tag in ("section", "article"):
            self._places.append((tag, given.get("id", "")))
        if given.get("class", "").startswith("file"):
            self._file = given.get("aria-label", self._file)
        self._look_for_loads(tag, given)
        self._look_for_lines(tag, given)

    def _look_for_loads(self, tag: str, given: dict[str, str]) -> None:
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
            for _, place in self._places:
                self.links_in[place].append(given["href"])
        elif loaded := {"src", "href", "srcset", "data", "action", "poster"} & given.keys():
            self.loads += [given[name] for name in loaded if not given[name].startswith("data:,")]

    def _look_for_lines(self, tag: str, given: dict[str, str]) -> None:
        if tag == "table":
            self._table = given.get("class", "").split()
        if tag == "tr":
            self._column = -1
        if tag == "td" and {"pair", "lone"} & {*self._table}:
            self._column += 1
            side = self.sides[self._side()]
            if "data-n" in given:
                side.numbers.append(int(given["data-n"]))
            elif given["class"] == "c":
                side.lines.append("")
                side.changed.append("changed" in self._table)
                self._cell = side

    def _side(self) -> str:
        """Of a pair the left two columns are the one app's, and the right two the other's."""
        return (
            f"{(LEFT, RIGHT)[self._column // 2]}/{self._file}"
            if "pair" in self._table
            else self._file
        )

    def handle_endtag(self, tag: str) -> None:
        if tag in ("section", "article"):
            self._places.pop()
        if tag == "td":
            self._cell = None

    def handle_data(self, data: str) -> None:
        for _, place in self._places:
            self.texts[place] += data
        if self._cell:
            self._cell.lines[-1] += data


def complaints(html: str, root: Path) -> list[str]:
    """What is wrong with the page of the apps under `root`, one line each; empty when nothing is."""
    page = Page(html)
    return [
        *(f"{link} leads nowhere" for link in _dead(page)),
        *(f"the id {one} is there twice" for one in page.ids if page.ids.count(one) > 1),
        *(f"loads {one}" for one in [*page.loads, *re.findall(r"@import.*|(?<!\w)url\(.*", html)]),
        *(line for app in (LEFT, RIGHT) for line in _missing(page, root, app)),
        *(f"{name}: not every difference is marked" for name in _unmarked(page, root)),
    ]


def _dead(page: Page) -> Iterator[str]:
    inside = (link for link in page.links if not link.startswith("https://"))
    return (link for link in inside if not (link[:1] == "#" and link[1:] in page.ids))


def _missing(page: Page, root: Path, app: str) -> Iterator[str]:
    for path in sorted((root / app).glob("*.py")):
        lines = path.read_text("utf-8").splitlines()
        side = page.sides[f"{app}/{path.name}"]
        if (side.lines, side.numbers) != (lines, [*range(1, len(lines) + 1)]):
            yield f"{app}/{path.name} is not there line by line"


def _unmarked(page: Page, root: Path) -> Iterator[str]:
    for name in twins(root):
        ours, theirs = (page.sides[f"{app}/{name}"] for app in (LEFT, RIGHT))
        if ours.unchanged() != theirs.unchanged():
            yield name
