"""What has to hold with every knob right: little is added, nothing is lost or changed, nobody starves."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import msgspec

from loadtests.interrupt import run_until_interrupted
from loadtests.nginx import proxied
from loadtests.stage import STREAMING, Stage
from loadtests.streams import Asking, Taken, take
from loadtests.tap import tapped
from loadtests.turning.figures import Figures, figures, gaps_ms
from loadtests.turning.playing import Played, crowd, play, read, warm
from loadtests.turning.rows import MODEL, Reading

MOST_TIMES, AND_MS = 3.0, 5.0
"""The 99th percentile of first-chunk delay is at most so many times the median, and so much more."""
ROUNDS = 3
"""A delay on a machine that did something else says nothing of the stack: so many crowds are read at most."""
APP_WAITED = 0.005
"""Of the time. It is 0.3 % where the app has its core alone; 1 % takes the p99 of a delay from 7 to 40 ms."""
ON_ONE = 100
"""Streams on one connection of HTTP/2, all asked at once; nginx allows 128."""
STARVED_TIMES = 3.0
"""A stream starves whose longest gaps (p99) are so many times those of the median stream."""


class Identity(msgspec.Struct, frozen=True):
    """Bodies as the app sent them and as the clients had them, compared byte for byte."""

    streams: int
    identical: int
    body_bytes: int


class Shared(msgspec.Struct, frozen=True):
    """Streams of one connection: those that were open at once, and the p99 of a stream's gaps in ms."""

    figures: Figures
    at_once: int
    median_gap_p99_ms: float
    worst_gap_p99_ms: float


class Proof(msgspec.Struct):
    """What was shown of the stack and the nginx that are shipped; None for what was not asked for."""

    added: Figures | None = None
    identity: Identity | None = None
    shared: Shared | None = None


def added(stage: Stage, streams: int, folder: Path) -> Figures:
    """Answers of every length, each on its own connection.

    Again when too much was added and the machine was not ours alone, which can only add.
    """
    for number in range(ROUNDS):
        asked = crowd(f"added-{number}", streams, MODEL)
        found = figures(_played(stage, asked, "HTTP/1.1", folder), stage.cores)
        if not _added(found) or not _disturbed(found):
            break
    return found


def shared(stage: Stage, folder: Path, streams: int = ON_ONE) -> Shared:
    """So many answers at once on one TLS connection."""
    played = _played(stage, crowd("shared", streams, MODEL, a_second=math.inf), "HTTP/2", folder)
    worst = sorted(longest_gap_ms(taken) for taken in played.taken)
    return Shared(
        figures=figures(played, stage.cores),
        at_once=at_once(played.taken),
        median_gap_p99_ms=round(median(worst), 1),
        worst_gap_p99_ms=round(worst[-1], 1),
    )


def _played(stage: Stage, asked: Sequence[Asking], how: Reading, folder: Path) -> Played:
    """A crowd through the shipped nginx to the shipped stack."""
    stack = stage.stacks[STREAMING]
    assert stack.child is not None
    with proxied(folder, [stack.url], cores=stage.cores.client) as proxy:
        warm(proxy)
        pids = (stack.child.pid, proxy.child.pid)
        return play(stage, pids, lambda: read(proxy, asked, how, on_a_connection=len(asked)))


def identity(stage: Stage, streams: int, folder: Path, *, most: int | None = None) -> Identity:
    """What left the app, taken down between it and nginx, against what arrived."""
    return run_until_interrupted(_compared(stage, crowd("same", streams, MODEL, most=most), folder))


async def _compared(stage: Stage, asked: Sequence[Asking], folder: Path) -> Identity:
    port = urlsplit(stage.stacks[STREAMING].url).port
    assert port is not None
    async with tapped(port) as tap:
        # Nobody waits for this loop yet.
        with proxied(folder, [f"http://127.0.0.1:{tap.port}"], cores=stage.cores.client) as proxy:
            taken = await take(proxy.ports.plain, asked)
            return same(taken, tap.bodies())


def same(taken: Sequence[Taken], sent: Mapping[str, bytes]) -> Identity:
    """Whole answers whose body is the one that the app sent for that request."""
    equal = [one.ending == "done" and one.body == sent.get(one.request_id) for one in taken]
    return Identity(len(taken), sum(equal), sum(len(one.body) for one in taken))


def longest_gap_ms(taken: Taken) -> float:
    """The 99th percentile of a stream's gaps; of fewer than a hundred, that is the longest."""
    gaps = sorted(gaps_ms(taken.content_ns))
    return gaps[-(-99 * len(gaps) // 100) - 1] if gaps else 0.0


def at_once(taken: Sequence[Taken]) -> int:
    """The most streams that were open at one time."""
    steps = [(one.asked_ns, 1) for one in taken] + [(one.ended_ns, -1) for one in taken]
    open_now = most = 0
    for _, step in sorted(steps):
        open_now += step
        most = max(most, open_now)
    return most


def not_kept(proof: Proof) -> list[str]:
    """The promises that do not hold, one sentence each."""
    broken = []
    if proof.added is not None:
        broken += _added(proof.added)
    if proof.identity is not None and proof.identity.identical < proof.identity.streams:
        one = proof.identity
        broken.append(f"{one.identical} of {one.streams} bodies arrived as the app sent them")
    if proof.shared is not None:
        broken += _shared(proof.shared)
    return broken


def proven(proof: Proof) -> list[str]:
    """What was shown, one sentence each."""
    told = []
    if proof.added is not None and (delay := proof.added.first_chunk_delay_ms):
        told.append(
            f"All right, {proof.added.streams} streams: first-chunk delay p50 {delay.p50:.2f} ms, p99 "
            f"{delay.tail:.2f} ms (at most {MOST_TIMES:g} x p50 + {AND_MS:g} ms: "
            f"{MOST_TIMES * delay.p50 + AND_MS:.1f}), {proof.added.dropped} dropped."
        )
    if (one := proof.identity) is not None:
        told.append(
            f"{one.identical} of {one.streams} bodies arrived as the app sent them, byte for byte "
            f"({one.body_bytes:,} bytes)."
        )
    if (lot := proof.shared) is not None:
        told.append(
            f"One TLS connection carried {lot.at_once} streams at once: the gaps of the median stream reach "
            f"{lot.median_gap_p99_ms:.0f} ms at p99, those of the worst one {lot.worst_gap_p99_ms:.0f} ms."
        )
    return told


def _added(found: Figures) -> list[str]:
    broken = _lost("all right", found)
    delay = found.first_chunk_delay_ms
    if delay is None or delay.tail > MOST_TIMES * delay.p50 + AND_MS:
        measured = (
            f"{delay.tail:.1f} ms at a p50 of {delay.p50:.1f} ms" if delay else "not measured"
        )
        why = "".join(f"; {reason}" for reason in _disturbed(found))
        broken.append(f"p99 of first-chunk delay: {measured}{why}")
    return broken


def _disturbed(found: Figures) -> list[str]:
    if found.app_waited <= APP_WAITED:
        return found.invalid
    return [
        *found.invalid,
        f"the app could not have its core for {found.app_waited:.1%} of the time",
    ]


def _shared(found: Shared) -> list[str]:
    broken = _lost("HTTP/2", found.figures)
    if found.at_once < found.figures.streams:
        broken.append(
            f"HTTP/2: {found.at_once} of {found.figures.streams} streams were open at once"
        )
    if found.worst_gap_p99_ms > STARVED_TIMES * found.median_gap_p99_ms:
        broken.append(
            f"HTTP/2: a stream waited {found.worst_gap_p99_ms:.0f} ms, "
            f"where the median stream waits {found.median_gap_p99_ms:.0f}"
        )
    return broken


def _lost(where: str, found: Figures) -> list[str]:
    lost = found.dropped + found.failed
    return [f"{where}: {lost} of {found.streams} streams were not finished"] if lost else []
