"""Verdicts on article B's figures B1 and B2 (CLAIMS.md), each computed from a run by a rule."""

from loadtests.reporting.claims import TOLERANCE, lower, near, unproven
from loadtests.reporting.comparison import number, seconds, tenths
from loadtests.reporting.figures import Breakdown, Claim, Summary, Verdict, WayFigures
from loadtests.stats import Distribution

ARTICLE_BATCH_MS = 9_400.0
ARTICLE_FIRST_BYTE_MS = 180.0
ARTICLE_VISIBLE_MS = 210.0
ARTICLE_SEARCH_MS = 4.0
ARTICLE_CONTEXT_MS = 12.0
ARTICLE_MODEL_MS = 9_100.0
ARTICLE_JSON_MS = 180.0
ARTICLE_RESPONSE_MS = 120.0
WORST_FIRST: tuple[Verdict, ...] = ("not reproduced", "reproduced", "beaten")
NOT_MEASURED = "not measured in this run"


def verdicts(summary: Summary, found: Breakdown) -> list[Claim]:
    """B1 and B2, as a client of nginx has them where that was measured; none of an invalid run is proven."""
    way = found.ways.get("nginx", found.ways["direct"])
    place = "through nginx" if "nginx" in found.ways else "direct"
    legacy, stream = way["legacy_flask"], way["fastapi_app"]
    claims = [_b1(legacy, stream, found, place), _b2(legacy, found.serialisation_ms, place)]
    return claims if summary.valid else [unproven(claim) for claim in claims]


def _b1(legacy: WayFigures, stream: WayFigures, found: Breakdown, place: str) -> Claim:
    article = "time to first byte 9,400 → 180 ms; first token visible 9,400 → 210 ms"
    before, after, stages = legacy.first_byte_ms, stream.first_byte_ms, stream.stages
    seen = _visible(legacy, stream, found)
    if before is None or after is None or seen is None or stages is None:
        return Claim("B1", article, NOT_MEASURED, "not reproduced")
    shown, (was, now) = seen
    measured = (
        f"{place}: first byte {number(before.p50)} → {number(after.p50)} ms; {shown} {number(was)} → "
        f"{number(now)} ms; of both, {number(stages.model_ms.p50)} ms are the simulated model's first token, "
        "set from the article"
    )
    if abs(before.p50 / ARTICLE_BATCH_MS - 1) > TOLERANCE:
        return Claim("B1", article, f"{measured}; not the article's model", "not reproduced")
    both = (lower(after.p50, ARTICLE_FIRST_BYTE_MS), lower(now, ARTICLE_VISIBLE_MS))
    return Claim("B1", article, measured, min(both, key=WORST_FIRST.index))


def _visible(
    legacy: WayFigures, stream: WayFigures, found: Breakdown
) -> tuple[str, tuple[float, float]] | None:
    """How the first words were seen, and the medians before and after, in ms."""
    seen = found.visible_ms or {}
    if len(seen) == 2:
        words = f"first words painted ({found.visible_by})"
        return words, (seen["legacy_flask"].p50, seen["fastapi_app"].p50)
    if legacy.first_content_ms is None or stream.first_content_ms is None:
        return None
    medians = legacy.first_content_ms.p50, stream.first_content_ms.p50
    return "first content at the client, no browser was asked,", medians


def _b2(legacy: WayFigures, serialisation: Distribution | None, place: str) -> Claim:
    article = (
        "of a batch request's 9,400 ms: agent selection 4, context 12, waiting for the LLM 9,100 (96.8 %), "
        "JSON serialisation 180, HTTP response 120"
    )
    stages = legacy.stages
    if stages is None or serialisation is None:
        return Claim("B2", article, NOT_MEASURED, "not reproduced")
    around = stages.until_model_ms.p50 + stages.from_model_ms.p50
    measured = (
        f"{place}: waiting for the model {seconds(stages.model_ms.p50)} ({tenths(stages.shares[1])}), all "
        f"before and after it {number(around)} ms, of which writing the JSON {number(serialisation.p50)} ms; "
        "agent selection and context assembly are no part of this stack"
    )
    written = abs(serialisation.p50 / ARTICLE_JSON_MS - 1) <= TOLERANCE
    same = near(stages.model_ms.p50, ARTICLE_MODEL_MS) and written
    # A batch stack that spends less is no success of the migration, so this claim is never "beaten".
    return Claim("B2", article, measured, "reproduced" if same else "not reproduced")
