"""What became of a day's answers on one side: with heartbeats or without them. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from loadtests.stats import Distribution, distribution
from loadtests.streams import Taken

PING = b": ping\n\n"
SIZES_S = (15.0, 30.0, 60.0, 120.0)
EARLY = 0.9
"""A drop is the idle timeout's when the silence had lasted for at least this share of it."""


@dataclass(frozen=True, slots=True)
class Times:
    """The times of the real service, in seconds, and by what they are divided here."""

    idle_s: float = 60.0
    heartbeat_s: float = 15.0
    scale: float = 12.0


@dataclass(frozen=True, slots=True)
class Size:
    """Silences of more than `above_s` and at most `most_s` seconds (None: any), and drops in them."""

    above_s: float
    most_s: float | None
    answers: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Side:
    """`failed` are answers that ended in any other way than whole or dropped by the idle timeout.

    `waited_s` is what the readers of those that were dropped had waited for more, `longest_quiet_s` the longest
    time without a byte of any answer. Seconds are those of the real service.
    """

    answers: int
    whole: int
    dropped: int
    failed: int
    sizes: list[Size]
    waited_s: Distribution | None
    longest_quiet_s: float
    heartbeats: int


def side(taken: Sequence[Taken], silences: Sequence[float], times: Times) -> Side:
    """The figures of one side; `silences` are in seconds of the real service, in the order of the answers."""
    dropped = [_dropped(one, silence, times) for one, silence in zip(taken, silences, strict=True)]
    whole = sum(one.ending == "done" and not one.trouble for one in taken)
    cut = [one for one, was in zip(taken, dropped, strict=True) if was]
    return Side(
        answers=len(taken),
        whole=whole,
        dropped=len(cut),
        failed=len(taken) - whole - len(cut),
        sizes=_sizes(silences, dropped),
        waited_s=distribution([_waited_s(one, times) for one in cut]),
        longest_quiet_s=round(max((_quiet_s(one, times) for one in taken), default=0.0), 2),
        heartbeats=sum(one.body.count(PING) for one in taken),
    )


def share_had(broken: Sequence[Taken], whole: Sequence[Taken]) -> Distribution | None:
    """The share of the text that readers had when their answer was dropped; the whole one has its id."""
    texts = {one.request_id: len(_text(one)) for one in whole if one.ending == "done"}
    cut = [one for one in broken if one.ending == "dropped" and texts.get(one.request_id)]
    return distribution([len(_text(one)) / texts[one.request_id] for one in cut])


def _text(one: Taken) -> str:
    deltas = (event.data for event in one.events() if event.name == "delta")
    return "".join(json.loads(data)["text"] for data in deltas)


def _dropped(one: Taken, silence_s: float, times: Times) -> bool:
    """Whether it began, broke off without a last word, and was silent for long enough."""
    broken = one.status == 200 and bool(one.trouble) and one.ending == "dropped"
    return broken and silence_s > EARLY * times.idle_s


def _waited_s(one: Taken, times: Times) -> float:
    last_ns = one.content_ns[-1] if one.content_ns else one.asked_ns
    return (one.ended_ns - last_ns) / 1e9 * times.scale


def _quiet_s(one: Taken, times: Times) -> float:
    stamps = [one.asked_ns, *(at_ns for at_ns, _ in one.reads), one.ended_ns]
    return max(after - before for before, after in pairwise(stamps)) / 1e9 * times.scale


def _sizes(silences: Sequence[float], dropped: Sequence[bool]) -> list[Size]:
    edges = (0.0, *SIZES_S)
    tops = (*SIZES_S, None)
    rows = []
    for above, most in zip(edges, tops, strict=True):
        inside = [
            was
            for silence, was in zip(silences, dropped, strict=True)
            if above < silence and (most is None or silence <= most)
        ]
        rows.append(Size(above, most, len(inside), sum(inside)))
    return rows
