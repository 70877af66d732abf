"""The guide as HTML, section by section; pure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from guide.diff import highlight
from guide.steps import slug

RAW = re.compile(r"(<!--.*?-->|</?[A-Za-z][^>]*>)", re.DOTALL)
LEFT_OUT = re.compile(
    r"<!--|</?a\b"
)  # the generator's comments, and anchors, which the page names itself
KEPT = re.compile(r"</?(?:br|sub|sup)>")
OUTSIDE = re.compile(r"https?://")
GUIDE = "migration_guide.md"


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under a heading of the second level; `slug` is "" for what comes before the first."""

    slug: str
    title: Markup
    body: Markup


def sections(markdown: str, elsewhere: Mapping[str, str]) -> list[Section]:
    """The guide by its `##` headings; all raw HTML but line breaks and small print is escaped or left out.

    `elsewhere` has the page's ids for paths and anchors that are no headings of the guide. A link to anything
    else in the repository becomes plain text: the page may be opened where the repository is not.
    """
    md = MarkdownIt("commonmark", {"html": True, "highlight": _block}, renderer_cls=_Renderer)
    tokens = md.enable("table").parse(markdown)
    headings = {name: f"guide-{name}" for name in _name_headings(tokens)}
    _resolve(tokens, {f"#{name}": place for name, place in headings.items()} | dict(elsewhere))
    return [
        Section(name, _render(md, title), _render(md, body)) for name, title, body in _split(tokens)
    ]


def inline(text: str) -> Markup:
    """A cell of the ledger: code and emphasis as in Markdown, raw HTML escaped."""
    return Markup(MarkdownIt("commonmark", {"html": False}).renderInline(text))


def _name_headings(tokens: Sequence[Token]) -> list[str]:
    """Gives each heading an id and one level less; the names are those that GitHub would give."""
    seen: Counter[str] = Counter()
    names = []
    for place, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + 1}"
        if token.type == "heading_open":
            name = slug(tokens[place + 1].content)
            names.append(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
            token.attrSet("id", f"guide-{names[-1]}")
    return names


def _resolve(tokens: Sequence[Token], places: Mapping[str, str]) -> None:
    """Points every link at its place in the page; hides it where it has none."""
    for token in (child for one in tokens for child in one.children or ()):
        if token.type == "link_open":
            target = _target(str(token.attrGet("href")), places)
            token.hidden = target is None
            token.attrSet("href", target or "")
        if token.type == "link_close":
            token.hidden = target is None


def _target(href: str, places: Mapping[str, str]) -> str | None:
    if OUTSIDE.match(href):
        return href
    href = href.removeprefix(GUIDE) or "#"
    place = places.get(href) or places.get(href.partition("#")[0])
    return f"#{place}" if place else None


def _split(tokens: Sequence[Token]) -> Iterator[tuple[str, list[Token], list[Token]]]:
    """Name, title and content of each section; the guide's own title is left out."""
    name, title, body = "", list[Token](), list[Token]()
    rest = iter(tokens)
    for token in rest:
        if token.type == "heading_open" and token.tag in ("h2", "h3"):
            content, _ = next(rest), next(rest)
            if token.tag == "h3":
                yield name, title, body
                name = str(token.attrGet("id")).removeprefix("guide-")
                title, body = [content], []
        else:
            body.append(token)
    yield name, title, body


def _render(md: MarkdownIt, tokens: Sequence[Token]) -> Markup:
    return Markup(
        md.renderer.render(tokens, md.options, {})
    )  # escaped by the renderer, but for _raw


class _Renderer(RendererHTML):
    """Raw HTML, pictures and tables in the page's own way."""

    def html_inline(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        return _raw(tokens[idx].content)

    def html_block(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        return _raw(tokens[idx].content)

    def image(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        """What it says: the page has no files beside it."""
        return escape(tokens[idx].content)

    def table_open(self, *_: Any) -> str:
        return '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'

    def table_close(self, *_: Any) -> str:
        return "</table></div>"


def _raw(html: str) -> str:
    pieces = RAW.split(html)
    return "".join(
        piece if KEPT.fullmatch(piece) else escape(piece)
        for piece in pieces
        if not LEFT_OUT.match(piece)
    )


def _block(code: str, language: str, _: str) -> str:
    lines = highlight.of_block(language, code)
    inside = Markup("\n").join(map(highlight.markup, lines))
    return f'<pre tabindex="0"><code>{inside}</code></pre>'
