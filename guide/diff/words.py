"""What differs within a pair of lines, and which lines make a pair; pure."""

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache

TOKEN = re.compile(r"\w+|\s+|.")
ALIKE = 0.5  # below this share of common words two lines are not one line changed
LONG = 20  # words and signs beyond which a line is worth no more
BLANK = 0.1
Span = tuple[int, int]
Spans = tuple[Span, ...]


def likeness(left: str, right: str) -> float:
    """The share of words and signs that two lines have in common, 0 to 1; spaces do not count."""
    ours, theirs = _bag(left), _bag(right)
    total = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / total if total else 0.0


@cache
def _bag(line: str) -> Counter[str]:
    return Counter(token for token in TOKEN.findall(line) if not token.isspace())


def changed(left: str, right: str) -> tuple[Spans, Spans]:
    """The spans of characters that only one of two lines has."""
    ours, theirs = TOKEN.findall(left), TOKEN.findall(right)
    pieces = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    apart = [piece for piece in pieces if piece[0] != "equal"]
    return (
        _spans(ours, [(a, b) for _, a, b, _, _ in apart]),
        _spans(theirs, [(a, b) for _, _, _, a, b in apart]),
    )


def _spans(tokens: Sequence[str], ranges: Sequence[Span]) -> Spans:
    """Ranges of tokens as ranges of characters; two that only spaces part become one."""
    joined: list[Span] = []
    for first, last in ranges:
        if first == last:
            continue
        if joined and "".join(tokens[joined[-1][1] : first]).isspace():
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    ends = [0]
    for token in tokens:
        ends.append(ends[-1] + len(token))
    return tuple((ends[first], ends[last]) for first, last in joined)


def pairs(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """The lines that are the same or one line changed, in order: the choice with most in common in all."""
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            paired = best[i + 1][j + 1] + _worth(left[i], right[j])
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    return list(_path(best))


def _worth(left: str, right: str) -> float:
    """A line that is the same counts more than one that is like it, a long one more, a blank one little."""
    if left == right:
        return 1 + min(_bag(left).total(), LONG) / LONG if left.strip() else BLANK
    alike = likeness(left, right)
    return alike if alike >= ALIKE else 0.0


def _path(best: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    found = []
    i = j = 0
    while i + 1 < len(best) and j + 1 < len(best[0]):
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            found.append((i, j))
            i, j = i + 1, j + 1
    return found
