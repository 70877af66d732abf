"""Verdicts on the source articles' C1 and C2 (CLAIMS.md): where the tail is from, and what each knob moves."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.reporting.claims import TOLERANCE
from loadtests.reporting.figures import Claim, Verdict
from loadtests.stats import Distribution

ARTICLE_MEDIAN_MS, ARTICLE_P99_MS = 200.0, 9_000.0
ARTICLE_BEFORE = ARTICLE_P99_MS / ARTICLE_MEDIAN_MS
ARTICLE_AFTER_LEAST, ARTICLE_AFTER_MOST = 3.0, 5.0
MOVES = 1.0 + TOLERANCE
"""A knob moves a figure that it changes by more than a tenth."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Times to first content in ms, where `held` of the answers went one `way` that holds them back."""

    way: str
    held: int
    together: Distribution


@dataclass(frozen=True, slots=True)
class Turned:
    """The p99 of time to first content in ms with a knob wrong and right, and what else the knob does."""

    knob: str
    wrong_ms: float
    right_ms: float
    besides: str = ""

    @property
    def factor(self) -> float:
        return self.wrong_ms / self.right_ms


def c1(
    right: Distribution, mixtures: Sequence[Mixture], varied: Distribution | None = None
) -> Claim:
    """The article's tail by the way that makes the longest one, and what is left with every knob right.

    The model of article B takes the same time to each first token; `varied` is of one that does not.
    """
    article = "first-token median 200 ms with p99 of 9 s before; after, p99 within 3-5 x the median"
    after = right.tail / right.p50
    told = "; ".join(map(_mixture, mixtures))
    measured = f"{told}; none held back: p99 {right.tail:,.0f} ms, {after:.1f} x the median"
    if varied is not None:
        own = varied.tail / varied.p50
        measured += f", or {own:.1f} x where the model's own times vary"
        after = max(after, own)
    return Claim("C1", article, measured, _c1(max(map(_ratio, mixtures), default=0.0), after))


def _ratio(mixture: Mixture) -> float:
    return mixture.together.tail / mixture.together.p50


def _mixture(mixture: Mixture) -> str:
    spread = mixture.together
    return (
        f"{mixture.held} of {spread.n} answers by `{mixture.way}`: median {spread.p50:,.0f} ms, "
        f"p99 {spread.tail:,.0f} ms, {_ratio(mixture):.1f} x"
    )


def _c1(before: float, after: float) -> Verdict:
    if before < ARTICLE_BEFORE * (1 - TOLERANCE) or after > ARTICLE_AFTER_MOST:
        return "not reproduced"
    return "beaten" if after < ARTICLE_AFTER_LEAST else "reproduced"


def c2(turned: Sequence[Turned]) -> Claim:
    """The knobs by what each does to the p99 of time to first content: every one has to move it."""
    article = (
        "the four knobs: proxy buffering off; flush per token; stream=True upstream; 15 s heartbeat"
    )
    every = all(one.factor > MOVES for one in turned)
    measured = "; ".join(map(_turned, turned))
    return Claim("C2", article, measured, "reproduced" if every else "not reproduced")


def _turned(one: Turned) -> str:
    besides = f" ({one.besides})" if one.besides else ""
    return f"{one.knob} p99 {one.wrong_ms:,.0f} → {one.right_ms:,.0f} ms{besides}"
