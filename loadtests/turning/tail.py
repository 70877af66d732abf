"""Where a p99 of 45 times the median comes from (C1): answers of which a few go another way.

Most readers take an answer like article B's with every knob right. A few take theirs, at the same time, through
one way that holds answers back, and for each such way the two are looked at together.
"""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec

from loadtests.interrupt import run_until_interrupted
from loadtests.processes import StartError
from loadtests.stage import Stage
from loadtests.stats import Distribution, distribution
from loadtests.streams import EVENTS, Asking, Taken, take
from loadtests.turning.figures import figures, first_content_ms, unzipped
from loadtests.turning.ground import Standing, standing
from loadtests.turning.playing import GZIPPED, crowd, play, warm
from loadtests.turning.rows import ROWS, SHIPPED, Row

MODEL = "sim:production"
SHARE = 0.03
A_SECOND = 5.0
"""Answers that begin: each takes nine seconds and 2,100 tokens, and one core relays them all."""
SUSPECTS = (
    "stream=False upstream",
    "buffering on, HTTP/1.0",
    "but HTTP/1.1, and gzip on",
    "but HTTP/1.1, TLS to the client",
)


class Mixed(msgspec.Struct, frozen=True):
    """Answers of which `held` went one way that holds back; times to first content in ms."""

    way: str
    streams: int
    held: int
    first_content_ms: Distribution
    ratio: float
    held_ms: Distribution


class Tail(msgspec.Struct, frozen=True):
    """With every knob right, and with each of the suspects for a share of the answers."""

    right_ms: Distribution
    ratio: float
    mixed: list[Mixed]
    dropped: int
    invalid: list[str]


def suspects() -> list[Row]:
    """The rows of the table that hold answers back, one of each kind."""
    return [row for row in ROWS if row.name in SUSPECTS]


def tail(stage: Stage, streams: int, folder: Path) -> Tail:
    """All the ways at once; raises StartError."""
    ways = [SHIPPED, *suspects()]
    with ExitStack() as running:
        up = [
            running.enter_context(standing(stage, row, folder / str(number)))
            for number, row in enumerate(ways)
        ]
        for each in up:
            warm(each.proxy)
        crowds = [_crowd(number, row, streams) for number, row in enumerate(ways)]
        pids = (up[0].app.pid, up[0].proxy.child.pid)
        played = play(stage, pids, lambda: run_until_interrupted(_all(up, ways, crowds)))
    found = figures(played, stage.cores)
    firsts = [
        first_content_ms(
            unzipped(one) for one in played.taken if one.request_id.startswith(f"tail-{number}-")
        )
        for number in range(len(ways))
    ]
    return summed(firsts, [row.name for row in ways[1:]], found.dropped, found.invalid)


def summed(
    firsts: Sequence[Sequence[float]], ways: Sequence[str], dropped: int, invalid: list[str]
) -> Tail:
    """Times to first content by way, the right one first; each other way is looked at together with it.

    Raises StartError when the right way brought nothing.
    """
    right = distribution(firsts[0])
    if right is None:
        raise StartError("no answer came through the nginx that is shipped")
    mixed = [_mixed(way, firsts[0], few) for way, few in zip(ways, firsts[1:], strict=True) if few]
    return Tail(right, _ratio(right), mixed, dropped, invalid)


def _mixed(way: str, right: Sequence[float], few: Sequence[float]) -> Mixed:
    together, alone = distribution([*right, *few]), distribution(few)
    assert together is not None
    assert alone is not None
    return Mixed(way, together.n, alone.n, together, _ratio(together), alone)


def _ratio(spread: Distribution) -> float:
    return round(spread.tail / spread.p50, 2)


def _crowd(number: int, row: Row, streams: int) -> list[Asking]:
    few = max(1, round(streams * SHARE))
    count = few if number else streams - few
    a_second = A_SECOND * count / streams
    headers = GZIPPED if row.reading == "gzip" else EVENTS
    asked = crowd(f"tail-{number}", count, MODEL, a_second=a_second)
    return [replace(one, headers=headers) for one in asked]


async def _all(
    up: Sequence[Standing], ways: Sequence[Row], crowds: Sequence[Sequence[Asking]]
) -> list[Taken]:
    taken = await asyncio.gather(*map(_take, up, ways, crowds))
    return [one for each in taken for one in each]


async def _take(each: Standing, row: Row, asked: Sequence[Asking]) -> list[Taken]:
    if row.reading == "TLS":
        return await take(each.proxy.ports.tls, asked, certificate=each.proxy.certificate)
    return await take(each.proxy.ports.plain, asked)
