"""All that a run of the knobs has found, what of it does not hold, and its summary.json."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtests.reporting.figures import Claim
from loadtests.reporting.knob_claims import Mixture, Turned, c1, c2
from loadtests.turning.figures import Figures
from loadtests.turning.proof import AND_MS, MOST_TIMES, STARVED_TIMES, Proof, not_kept
from loadtests.turning.rows import LONGEST, ROWS, SHIPPED, SILENCES
from loadtests.turning.silence import Kept, unexpected
from loadtests.turning.tail import Tail

PAIRS = {
    "proxy buffering off": ("buffering on, HTTP/1.0", "and X-Accel from the app"),
    "flush per token": ("16 tokens a chunk", "1 token a chunk"),
    "stream=True upstream": ("stream=False upstream", "all right"),
    "15 s heartbeat": ("all wrong", "only a heartbeat is right"),
}
"""The knobs of C2, each by the row that has it wrong and the row that differs in nothing else."""


@dataclass(slots=True)
class Outcome:
    """Figures and times to first content in ms by the name of a row; what was not asked for is missing."""

    streams: int
    rows: dict[str, Figures] = field(default_factory=dict)
    first_content_ms: dict[str, list[float]] = field(default_factory=dict)
    silences: list[Kept] = field(default_factory=list)
    tail: Tail | None = None
    proof: Proof = field(default_factory=Proof)


def summary(found: Outcome) -> dict[str, Any]:
    """What summary.json holds; `failures` are what the rows say and the figures do not."""
    failures = list(_failures(found))
    return {
        "streams": found.streams,
        "most_tokens_a_row": LONGEST,
        "rows": [
            {
                "name": row.name,
                "group": row.group,
                "nginx": [new for _, new in row.changes],
                "app": dict(row.settings),
                "wrong": row.wrong,
                "server": row.server,
                "client": row.reading,
                "to_be_held": row.held,
                "figures": found.rows[row.name],
            }
            for row in ROWS
            if row.name in found.rows
        ],
        "silences": found.silences,
        "tail": found.tail,
        "proof": found.proof,
        "promise": {"p99": f"{MOST_TIMES:g} x p50 + {AND_MS:g} ms", "starved": STARVED_TIMES},
        "claims": claims(found),
        "failures": failures,
        "holds": not failures,
    }


def _failures(found: Outcome) -> Iterator[str]:
    yield from not_kept(found.proof)
    yield from _misjudged(found.rows)
    if found.tail is not None and found.tail.dropped:
        yield f"tail of C1: {found.tail.dropped} streams were lost"
    by_name = {one.name: one for one in SILENCES}
    yield from unexpected([by_name[kept.name] for kept in found.silences], found.silences)


def _misjudged(rows: Mapping[str, Figures]) -> Iterator[str]:
    """Rows that hold answers and should not, or do not and should; and streams that were lost."""
    for row in ROWS:
        one = rows.get(row.name)
        if one is None:
            continue
        if one.held_back != row.held:
            expected = "most" if row.held else "few"
            yield f"{row.name}: {one.held} of {one.streams} answers were held back, not {expected}"
        if one.dropped + one.failed:
            yield f"{row.name}: {one.dropped + one.failed} of {one.streams} streams were lost"


def claims(found: Outcome) -> list[Claim]:
    """The verdicts for which there are figures."""
    made = []
    if found.tail is not None:
        mixtures = [Mixture(one.way, one.held, one.first_content_ms) for one in found.tail.mixed]
        shipped = found.rows.get(SHIPPED.name)
        varied = shipped.first_content_ms if shipped else None
        made.append(c1(found.tail.right_ms, mixtures, varied))
    if turned := _turned(found):
        made.append(c2(turned))
    return made


def _turned(found: Outcome) -> list[Turned]:
    """The four knobs; none when a row of theirs is missing."""
    if not {name for pair in PAIRS.values() for name in pair} <= found.rows.keys():
        return []
    return [
        Turned(knob, _p99(found.rows[wrong]), _p99(found.rows[right]), _besides(found, knob))
        for knob, (wrong, right) in PAIRS.items()
    ]


def _besides(found: Outcome, knob: str) -> str:
    """What a knob does besides, or instead."""
    if "heartbeat" in knob:
        return _heartbeat(found.silences)
    before, after = (found.rows[name].gap_ms for name in PAIRS[knob])
    return f"median gap {before.p50:.0f} → {after.p50:.0f} ms" if before and after else ""


def _p99(one: Figures) -> float:
    return one.first_content_ms.tail if one.first_content_ms else math.inf


def _heartbeat(silences: list[Kept]) -> str:
    """Streams lost behind the usual timeout, without it and with it."""
    lost = {one.heartbeat_s: one for one in silences if one.timeout_s == SILENCES[-1].timeout_s}
    if not {None, SILENCES[-2].heartbeat_s} <= set(lost):
        return ""
    without, beating = lost[None], lost[SILENCES[-2].heartbeat_s]
    return (
        f"{without.dropped} → {beating.dropped} of {without.streams} streams dropped in a silence of "
        f"{without.pause_s:g} s behind a timeout of {without.timeout_s:g} s"
    )
