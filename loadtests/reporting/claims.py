"""Verdicts on the source articles' figures A1-A6 (CLAIMS.md), each computed from a run by a rule."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from loadtests.reporting.comparison import percent, seconds
from loadtests.reporting.figures import Claim, Summary, Verdict
from loadtests.reporting.records import Handling, StackName
from loadtests.stats import Distribution

TOLERANCE = 0.10
"""A measured figure within a tenth of the article's reproduces it."""
MODEL_TOLERANCE = 0.05
"""The upstream counts as the article's model when its times lie within a twentieth."""

ARTICLE_TTFT_MS = 1_200.0
ARTICLE_GENERATION_MS = 6_400.0
ARTICLE_BATCH_TOTAL_MS = 9_200.0
ARTICLE_FIRST_CHUNK_MS = 120.0
ARTICLE_STREAM_TOTAL_MS = 6_440.0
ARTICLE_BATCH_OVERHEAD_MS = 800.0
ARTICLE_STREAM_OVERHEAD_MS = 280.0
ARTICLE_REQUESTS = 10_000
ARTICLE_TOKENS = 500
ARTICLE_HANDLING_GAIN = 0.40


@dataclass(frozen=True)
class Others:
    """What the claims need beyond the summary: medians over the streamed answers, and the rates for A6."""

    tokens: int | None
    model_total: float | None
    handling: Mapping[StackName, Handling] | None


@dataclass(frozen=True)
class Facts:
    """The figures the verdicts rest on: medians in ms, None where they were not measured."""

    valid: bool
    users: int
    requests: int
    errors: int
    compared: int
    identical: int
    tokens: int | None
    batch_total: float | None
    batch_overhead: float | None
    stream_first: float | None
    stream_total: float | None
    stream_overhead: float | None
    first_chunk: float | None
    first_chunk_tail: float | None
    model_first: float | None
    model_generation: float | None
    model_total: float | None
    handling_gain: float | None

    @classmethod
    def of(cls, summary: Summary, others: "Others") -> "Facts":
        """From a summary and what a summary does not hold."""
        legacy, stream = summary.stacks.legacy_flask, summary.stacks.fastapi_app
        delay = stream.first_chunk_delay_ms
        return cls(
            valid=summary.valid,
            users=summary.users,
            requests=min(legacy.requests, stream.requests),
            errors=legacy.errors + stream.errors,
            compared=summary.answers.compared,
            identical=summary.answers.identical,
            tokens=others.tokens,
            batch_total=_median(legacy.total_ms),
            batch_overhead=_median(legacy.api_overhead_ms),
            stream_first=_median(stream.first_content_ms),
            stream_total=_median(stream.total_ms),
            stream_overhead=_median(stream.api_overhead_ms),
            first_chunk=_median(delay),
            first_chunk_tail=delay.p99 if delay else None,
            model_first=_median(summary.upstream.first_token_ms),
            model_generation=_median(summary.upstream.generation_ms),
            model_total=others.model_total,
            handling_gain=_gain(others.handling),
        )

    @property
    def article_model(self) -> bool:
        """Whether the upstream took the article's 1.2 s and 6.4 s."""
        return near(self.model_first, ARTICLE_TTFT_MS) and near(
            self.model_generation, ARTICLE_GENERATION_MS
        )


def verdicts(facts: Facts) -> list[Claim]:
    """A1 to A6; a run that is not valid proves none of them, and says so in each."""
    claims = [rule(facts) for rule in (_a1, _a2, _a3, _a4, _a5, _a6)]
    return claims if facts.valid else [unproven(claim) for claim in claims]


def unproven(claim: Claim) -> Claim:
    """What an invalid run says of a claim."""
    text = f"proves nothing, the run is invalid: {claim.measured}"
    return msgspec.structs.replace(claim, measured=text, verdict="not reproduced")


def _a1(facts: Facts) -> Claim:
    article = "Flask batch answer in 9.2 s: model 1.2 + 6.4 s, API overhead 0.8 s, network 0.8 s"
    if facts.batch_total is None or facts.model_total is None or facts.batch_overhead is None:
        return Claim("A1", article, "the model's own time was not recorded", "not reproduced")
    measured = (
        f"{seconds(facts.batch_total)} at {facts.users:,} users: model {seconds(facts.model_total)}, "
        f"everything else {_ms(facts.batch_overhead)}"
    )
    if not facts.article_model:
        return Claim("A1", article, f"{measured}; not the article's model", "not reproduced")
    near = abs(facts.batch_total / ARTICLE_BATCH_TOTAL_MS - 1) <= TOLERANCE
    # A quicker starting point is no success of the migration, so this claim is never "beaten".
    return Claim("A1", article, measured, "reproduced" if near else "not reproduced")


def _a2(facts: Facts) -> Claim:
    article = (
        "time to first token 1,200 → 120 ms (−90 %), first chunk after the model's first token"
    )
    if facts.first_chunk is None or facts.stream_first is None or facts.batch_total is None:
        return Claim("A2", article, "the model's own time was not recorded", "not reproduced")
    tail = f", p99 {_ms(facts.first_chunk_tail)}" if facts.first_chunk_tail is not None else ""
    drop = 1 - facts.stream_first / facts.batch_total
    measured = (
        f"first-chunk delay after the model's first token {_ms(facts.first_chunk)}{tail}; "
        f"a user waits for first content {seconds(facts.batch_total)} → {seconds(facts.stream_first)} "
        f"({percent(-drop, sign=True)})"
    )
    return Claim("A2", article, measured, lower(facts.first_chunk, ARTICLE_FIRST_CHUNK_MS))


def _a3(facts: Facts) -> Claim:
    article = "total 9,200 → 6,440 ms (−30 %)"
    if facts.stream_total is None or facts.batch_total is None or facts.model_total is None:
        return Claim("A3", article, "the model's own time was not recorded", "not reproduced")
    measured = f"{seconds(facts.batch_total)} → {seconds(facts.stream_total)}"
    if not facts.article_model:
        return Claim("A3", article, f"{measured}; not the article's model", "not reproduced")
    if min(facts.model_total, facts.stream_total) > ARTICLE_STREAM_TOTAL_MS:
        floor = (
            f"{measured}; the model alone takes {seconds(facts.model_total)} for the same answer, "
            "and relaying cannot shorten that"
        )
        return Claim("A3", article, floor, "shown impossible")
    return Claim("A3", article, measured, lower(facts.stream_total, ARTICLE_STREAM_TOTAL_MS))


def _a4(facts: Facts) -> Claim:
    article = "API overhead 800 → 280 ms (−65 %)"
    if facts.batch_overhead is None or facts.stream_overhead is None:
        return Claim("A4", article, "the model's own time was not recorded", "not reproduced")
    measured = (
        f"{_ms(facts.batch_overhead)} → {_ms(facts.stream_overhead)} at {facts.users:,} users"
    )
    if facts.batch_overhead < ARTICLE_BATCH_OVERHEAD_MS * (1 - TOLERANCE):
        light = f"{measured}; a batch stack at 800 ms takes another load: see `make sweep`"
        return Claim("A4", article, light, "not reproduced")
    return Claim("A4", article, measured, lower(facts.stream_overhead, ARTICLE_STREAM_OVERHEAD_MS))


def _a5(facts: Facts) -> Claim:
    article = "10,000 requests against both stacks, answers of 500 tokens"
    tokens = "an unknown number of" if facts.tokens is None else f"{facts.tokens:,}"
    measured = (
        f"{facts.requests:,} requests against each stack, {facts.errors:,} errors, "
        f"{facts.identical:,} of {facts.compared:,} answers identical, {tokens} tokens an answer"
    )
    enough = facts.requests >= ARTICLE_REQUESTS and facts.identical >= ARTICLE_REQUESTS
    done = enough and facts.errors == 0 and facts.tokens == ARTICLE_TOKENS
    return Claim("A5", article, measured, "reproduced" if done else "not reproduced")


def _a6(facts: Facts) -> Claim:
    article = "FastAPI handles requests 40 % faster than Flask"
    if facts.handling_gain is None:
        return Claim("A6", article, "not measured in this run", "not reproduced")
    measured = (
        f"{percent(facts.handling_gain, sign=True)} requests a second: the same small request, not streamed, "
        "an upstream without delays"
    )
    return Claim("A6", article, measured, _higher(facts.handling_gain, ARTICLE_HANDLING_GAIN))


def _median(measured: Distribution | None) -> float | None:
    return measured.p50 if measured else None


def _gain(handling: Mapping[StackName, Handling] | None) -> float | None:
    both = handling and (handling.get("legacy_flask"), handling.get("fastapi_app"))
    if not both or both[0] is None or both[1] is None or both[0].requests_per_s <= 0:
        return None
    return both[1].requests_per_s / both[0].requests_per_s - 1


def near(measured: float | None, article: float) -> bool:
    """Whether a time of the model is the article's, by `MODEL_TOLERANCE`."""
    return measured is not None and abs(measured / article - 1) <= MODEL_TOLERANCE


def lower(measured: float, article: float) -> Verdict:
    """The verdict on a figure of which less is better."""
    if measured < article * (1 - TOLERANCE):
        return "beaten"
    return "reproduced" if measured <= article * (1 + TOLERANCE) else "not reproduced"


def _higher(measured: float, article: float) -> Verdict:
    """The verdict on a figure of which more is better."""
    if measured > article * (1 + TOLERANCE):
        return "beaten"
    return "reproduced" if measured >= article * (1 - TOLERANCE) else "not reproduced"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms"
