"""The steps of the guide and what each shows, read from its Markdown; pure."""

import re
from dataclasses import dataclass

HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
DIRECTIVE = re.compile(r"<!--= *(diff|listing)\((.*?)\) *=-->", re.DOTALL)
STRING = re.compile(r'"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Step:
    """`shown` has `routes.py#body` for a region of a twin, and for a file that one app has alone its path,
    `fastapi_app/sse.py` or `fastapi_app/sse.py#frame`."""

    slug: str
    title: str
    shown: tuple[str, ...]


def steps(markdown: str) -> list[Step]:
    """Every `##` section in order."""
    _, *parts = HEADING.split(markdown)
    return [
        Step(slug(title), title, tuple(_shown(text)))
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def slug(title: str) -> str:
    """The anchor that GitHub gives a heading: letters, digits and hyphens, in lower case."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _shown(text: str) -> list[str]:
    named = (STRING.findall(arguments) for _, arguments in DIRECTIVE.findall(text))
    return [
        f"{path}#{region}" if region else path
        for path, *regions in named
        for region in regions or [""]
    ]
