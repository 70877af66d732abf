"""What the page of `make diff` is made of: rows, words, colours."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guide.diff import highlight, words
from guide.diff.rows import CONTEXT, aligned, cells, folded
from guide.regions import ROOT

AA = 4.5  # WCAG 2, contrast of text
LINES = st.lists(st.sampled_from(["", "a = 1", "a = 2", "def f(x):", "def f(x, y):", "z"]))


@given(left=LINES, right=LINES)
def test_no_line_is_lost_and_folds_hold_no_change(left: list[str], right: list[str]) -> None:
    whole = aligned(cells(left), cells(right))
    cut = folded(whole)
    rows = [row for stretch in whole for row in stretch.rows]
    assert [row for stretch in cut for row in stretch.rows] == rows
    assert [row.left.text for row in rows if row.left] == left
    assert [row.right.text for row in rows if row.right] == right
    far = [
        place for place, stretch in enumerate(cut) for _ in stretch.rows if stretch.kind == "folded"
    ]
    assert all(cut[place].kind != "changed" for place in far)
    for stretch in cut:
        same = [row.left and row.right and row.left.text == row.right.text for row in stretch.rows]
        assert not any(same) if stretch.kind == "changed" else all(same)


@pytest.mark.parametrize("length", [1, CONTEXT, 3 * CONTEXT, 40])
def test_context_stays_visible(length: int) -> None:
    same = [f"line {n}" for n in range(length)]
    cut = folded(aligned(cells([*same, "a", *same]), cells([*same, "b", *same])))
    place = [stretch.kind for stretch in cut].index("changed")
    shown = [len(cut[place + step].rows) for step in (-1, 1)]
    assert shown == [min(length, CONTEXT)] * 2 or (length < 2 * CONTEXT and shown == [length] * 2)


@given(left=st.text("ab (),.="), right=st.text("ab (),.="))
def test_what_is_not_marked_in_a_line_is_the_same(left: str, right: str) -> None:
    kept = []
    for line, spans in zip((left, right), words.changed(left, right), strict=True):
        for first, last in reversed(spans):
            line = line[:first] + line[last:]
        kept.append("".join(line.split()))
    assert kept[0] == kept[1]


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["a.py", "a.toml", "a.html", "a.x"]))
def test_colours_leave_the_text_as_it_is(source: str, name: str) -> None:
    lines = highlight.of_file(name, source)
    assert ["".join(text for _, text in line) for line in lines] == source.splitlines()


def _contrast(one: str, other: str) -> float:
    """WCAG 2, relative luminance."""
    shares = []
    for colour in (one, other):
        parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
        linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        shares.append(sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))
    return (max(shares) + 0.05) / (min(shares) + 0.05)


def test_every_colour_can_be_read_in_both_themes() -> None:
    css = (ROOT / "guide/diff/page.css").read_text("utf-8")
    themes = [
        dict(re.findall(r"--([\w-]+): (#\w{6});", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    code = ("ink", "keyword", "string", "comment", "number", "name", "decorator", "builtin")
    behind = ("card", "left-line", "left-word", "right-line", "right-word")
    signs = [("legacy", "left-line"), ("streaming", "right-line"), ("muted", "none")]
    texts = product(("ink", "muted", "link", "legacy", "streaming", "cause"), ("paper", "card"))
    numbers = product(("muted",), ("left-line", "right-line"))
    places = [*product(code, behind), *signs, *texts, *numbers]
    assert len(themes) == 2
    assert [
        (*p, t["paper"]) for t in themes for p in places if _contrast(t[p[0]], t[p[1]]) < AA
    ] == []
