"""Source text as coloured HTML, line by line; pure."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate, pairwise

from markupsafe import Markup, escape
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.token import (
    Comment,
    Generic,
    Keyword,
    Literal,
    Name,
    Number,
    Operator,
    String,
    _TokenType,
)
from pygments.util import ClassNotFound

from guide.diff.words import Spans

Token = tuple[str, str]  # the class of its colour in page.css, "" for none, and its text

# The first that holds the type of a token decides; what is in none of them keeps the colour of the text.
CLASSES = (
    (String.Doc, "c"),
    (String, "s"),
    (Comment, "c"),
    (Number, "m"),
    (Literal, "m"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Name.Decorator, "d"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Tag, "k"),
    (Name.Attribute, "f"),
    (Name.Builtin, "b"),
    (Name.Exception, "b"),
    (Generic.Deleted, "gd"),
    (Generic.Inserted, "gi"),
    (Generic.Subheading, "gh"),
    (Generic.Heading, "gh"),
)


def of_file(name: str, source: str) -> list[list[Token]]:
    """The tokens of each line of `source.splitlines()`, in the language that the file's name says."""
    try:
        lexer = get_lexer_for_filename(name)
    except ClassNotFound:
        lexer = TextLexer()
    return _lines(lexer, source)


def of_block(language: str, source: str) -> list[list[Token]]:
    """The same for a fenced block of Markdown, whose language may be unknown or none."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = TextLexer()
    return _lines(lexer, source)


def _lines(lexer: Lexer, source: str) -> list[list[Token]]:
    whole = source.splitlines(keepends=True)
    bare = source.splitlines()
    starts = [0, *accumulate(map(len, whole))]
    lines: list[list[Token]] = [[] for _ in whole]
    number = 0
    # Unprocessed, so that the lexer neither strips nor adds: offsets are those of the source.
    for offset, kind, text in lexer.get_tokens_unprocessed(source):
        while text:
            while starts[number + 1] <= offset:
                number += 1
            taken = text[: starts[number + 1] - offset]
            kept = taken[: max(0, starts[number] + len(bare[number]) - offset)]
            if kept:
                _add(lines[number], _class(kind), kept)
            offset, text = offset + len(taken), text[len(taken) :]
    return lines


def _add(line: list[Token], name: str, text: str) -> None:
    """Neighbours of one colour become one token."""
    if line and line[-1][0] == name:
        text = line.pop()[1] + text
    line.append((name, text))


@cache
def _class(kind: _TokenType) -> str:
    return next((name for held, name in CLASSES if held is kind or held in kind.split()), "")


def markup(tokens: Sequence[Token], spans: Spans = ()) -> Markup:
    """One line: each token in the colour of its class, and what the spans cover in a `mark`."""
    parts: list[Markup] = []
    marked = False
    for name, text, inside in _cut(tokens, spans):
        if inside != marked:
            parts.append(Markup("<mark>" if inside else "</mark>"))
            marked = inside
        parts.append(Markup('<i class="{}">{}</i>').format(name, text) if name else escape(text))
    return Markup("").join([*parts, Markup("</mark>" if marked else "")])


def _cut(tokens: Sequence[Token], spans: Spans) -> Iterator[tuple[str, str, bool]]:
    """Tokens cut where a span begins or ends; whether each lies inside of one."""
    edges = sorted({edge for span in spans for edge in span})
    start = 0
    for name, text in tokens:
        end = start + len(text)
        places = [start, *(edge for edge in edges if start < edge < end), end]
        for a, b in pairwise(places):
            yield name, text[a - start : b - start], any(first <= a < last for first, last in spans)
        start = end
