"""The verdict on the source articles' figure B7 (CLAIMS.md): what a limit a user costs a call."""

from dataclasses import dataclass

from loadtests.reporting.claims import TOLERANCE
from loadtests.reporting.figures import Claim, Verdict
from loadtests.stats import Distribution

ARTICLE_P99_MS = 0.8


@dataclass(frozen=True, slots=True)
class Costs:
    """What a call waits, in ms: for our limiter, one call after the other and many at once, and for a PING."""

    admit: Distribution
    crowded: Distribution
    ping: Distribution
    clients: int


def b7(costs: Costs) -> Claim:
    """By the calls of an event loop that come one after the other: a crowd waits for the CPU, not for Redis."""
    article = "sliding-window limiter in Redis, one round trip, p99 0.8 ms"
    admit = costs.admit
    measured = (
        f"one round trip, p50 {admit.p50:.2f} ms, p99 {admit.tail:.2f} ms; a bare PING takes "
        f"{costs.ping.p50:.2f} and {costs.ping.tail:.2f}; with {costs.clients} calls at once p50 "
        f"{costs.crowded.p50:.1f} ms, p99 {costs.crowded.tail:.1f} ms"
    )
    return Claim("B7", article, measured, _verdict(admit.tail))


def _verdict(p99_ms: float) -> Verdict:
    if p99_ms < ARTICLE_P99_MS * (1 - TOLERANCE):
        return "beaten"
    return "reproduced" if p99_ms <= ARTICLE_P99_MS * (1 + TOLERANCE) else "not reproduced"
