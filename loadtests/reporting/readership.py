"""Visits joined to what the model made for them: abandonment, and tokens paid for and read. Pure."""

import math
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from loadtests.audience.generated import Generated
from loadtests.audience.visits import Visit
from loadtests.profiles import Profile
from loadtests.stats import Distribution, distribution

CLOSED_WITHIN_MS = 1000.0
_Z95 = 1.959964


class Share(msgspec.Struct, frozen=True):
    """A share of visits with its 95 % interval (Wilson's score interval)."""

    count: int
    of: int
    share: float
    low: float
    high: float


class Readership(msgspec.Struct, frozen=True):
    """A stack's visits; tokens are means over all answers that were asked for.

    `paid` are the tokens that the model made, `paid_after` those of them after the reader had gone.
    `outlived_ms` is how long the model went on after a reader who had gone before the end of the answer,
    `outlived` for how many of them it went on for longer than CLOSED_WITHIN_MS.
    """

    abandoned: Share
    left: int
    finished: int
    failed: int
    shown_ms: Distribution | None
    paid: float
    paid_after: float
    read: float
    outlived_ms: Distribution | None
    outlived: int


def share(count: int, of: int) -> Share:
    """`of` must not be 0."""
    p, z2 = count / of, _Z95**2 / of
    middle = (p + z2 / 2) / (1 + z2)
    reach = math.sqrt(z2 * (p * (1 - p) + z2 / 4)) / (1 + z2)
    return Share(count, of, p, max(0.0, middle - reach), min(1.0, middle + reach))


def readership(visits: Sequence[Visit], made: Sequence[Generated], profile: Profile) -> Readership:
    """A request that the SDK has sent again counts with all that was made for it."""
    by_id: defaultdict[str, list[Generated]] = defaultdict(list)
    for one in made:
        by_id[one.request_id].append(one)
    gone = [visit for visit in visits if visit.ending in ("abandoned", "left")]
    outlived = [
        max(0.0, (one.ended_ns - visit.ended_ns) / 1e6)
        for visit in gone
        for one in by_id[visit.request_id]
    ]
    after = sum(one.paid_after(visit.ended_ns) for visit in gone for one in by_id[visit.request_id])
    read = sum(visit.reader.tokens_read(profile) for visit in visits if visit.shown_ns)
    shown = [(visit.shown_ns - visit.asked_ns) / 1e6 for visit in visits if visit.shown_ns]
    endings = [visit.ending for visit in visits]
    return Readership(
        abandoned=share(endings.count("abandoned"), len(visits)),
        left=endings.count("left"),
        finished=endings.count("finished"),
        failed=endings.count("failed"),
        shown_ms=distribution(shown),
        paid=round(sum(one.paid for one in made) / len(visits), 1),
        paid_after=round(after / len(visits), 1),
        read=round(read / len(visits), 1),
        outlived_ms=distribution(outlived),
        outlived=sum(ms > CLOSED_WITHIN_MS for ms in outlived),
    )
