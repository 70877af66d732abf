"""`make drops`: a day of answers with silent stretches through an idle timeout, heartbeat on and off (B6).

Times are divided by a scale, so that a day's answers pass in minutes; only what is silent is of interest, and
an answer that is silent costs nothing, so all of them are replayed.
"""

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from loadtests.idle import silences
from loadtests.idle.report import conclusion, table
from loadtests.idle.side import Side, Times, share_had, side
from loadtests.idle.sides import AFTER, BEFORE, SHIPPED_IDLE_S, raised, replayed
from loadtests.interrupt import interruptible, run_until_interrupted
from loadtests.options import OptionError, decimal, folder, whole
from loadtests.processes import StartError
from loadtests.reporting.idle_claims import DAY_ANSWERS, Drops, b6
from loadtests.streams import Taken
from shared.settings import Settings

MUTANTS = ("", "no-heartbeat")
TELL_EVERY = 1000
START_S = 6.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """So many answers on each side, and answers a second."""

    requests: int
    rate: float
    seed: int
    times: Times
    mutant: bool
    out: Path

    @property
    def silences(self) -> list[float]:
        """Of each answer, in seconds of the real service."""
        return silences.drawn(self.requests, self.seed)

    @property
    def estimate_s(self) -> float:
        ends = (
            number / self.rate + silence / self.times.scale
            for number, silence in enumerate(self.silences)
        )
        return max(ends) + START_S


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", default=str(DAY_ANSWERS))
    parser.add_argument("--rate", default="120", help="answers a second on each side")
    parser.add_argument("--seed", default="7")
    parser.add_argument("--scale", default=f"{Times().scale:g}", help="what times are divided by")
    parser.add_argument("--mutant", default="", help=MUTANTS[1])
    parser.add_argument("--out", default="out/drops")


def main(arguments: argparse.Namespace) -> int:
    """0 when heartbeats keep what is dropped without them, 1 when not, 2 for a bad option, 130 on Ctrl-C."""
    console = Console()
    try:
        chosen = checked(arguments)
    except OptionError as error:
        print(f"drops: {error}", file=sys.stderr)
        return 2
    tell = partial(console.print, soft_wrap=True, highlight=False)
    tell(_estimate(chosen))
    path = chosen.out / "summary.json"
    path.unlink(missing_ok=True)
    try:
        with interruptible():
            taken = _day(chosen, tell)
    except (StartError, OSError) as error:
        print(f"drops: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        tell("Interrupted: every process is stopped, nothing was kept.")
        return 130
    summary = summarise(taken, chosen)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    console.print(table(summary["sides"]))
    tell(conclusion(summary))
    tell(f"  {path}")
    for failure in summary["failures"]:
        print(f"drops: {failure}", file=sys.stderr)
    return 0 if summary["holds"] else 1


def checked(given: argparse.Namespace) -> Chosen:
    """Raises OptionError for the first option that cannot be used."""
    if given.mutant not in MUTANTS:
        raise OptionError(f"MUTANT={given.mutant}: there is {MUTANTS[1]}")
    return Chosen(
        requests=whole("REQUESTS", given.requests, 1, 100_000),
        rate=decimal("RATE", given.rate, 0.1, 1000),
        seed=whole("SEED", given.seed, 0, 2**31),
        times=Times(scale=decimal("SCALE", given.scale, 1, 60)),
        mutant=bool(given.mutant),
        out=folder("OUT", given.out),
    )


def summarise(taken: dict[str, list[Taken]], chosen: Chosen) -> dict[str, Any]:
    """What summary.json holds; seconds are those of the real service."""
    sides = {name: side(answers, chosen.silences, chosen.times) for name, answers in taken.items()}
    before, after = sides[BEFORE], sides[AFTER]
    beyond = silences.share_beyond(chosen.times.idle_s)
    drops = Drops(chosen.requests, before.dropped, after.dropped, beyond)
    failures = _failures(before, after)
    return {
        "answers": chosen.requests,
        "rate": chosen.rate,
        "seed": chosen.seed,
        "times": chosen.times,
        "silences": {
            "median_s": silences.MEDIAN_S,
            "p95_s": silences.MOST_S,
            "sigma": silences.SIGMA,
            "longest_drawn_s": max(chosen.silences),
            "drawn_beyond_idle": sum(one > chosen.times.idle_s for one in chosen.silences),
            "share_beyond_idle": beyond,
        },
        "sides": {name: dataclasses.asdict(one) for name, one in sides.items()},
        "dropped_had_share": share_had(taken[BEFORE], taken[AFTER]),
        "a_day": {
            "answers": DAY_ANSWERS,
            "dropped_before": drops.before_a_day,
            "dropped_after": drops.after_a_day,
            "share_of_answers_for_the_article": drops.article_share,
        },
        "computed": {
            "shipped_idle_s": SHIPPED_IDLE_S,
            "token_timeout_s": _token_timeout_s(),
            "dropped_a_day_behind_shipped_idle": DAY_ANSWERS
            * silences.share_beyond(SHIPPED_IDLE_S),
            "share_beyond_token_timeout": silences.share_beyond(_token_timeout_s()),
        },
        "claims": [b6(drops)],
        "failures": failures,
        "holds": not failures,
    }


def _token_timeout_s() -> float:
    """The silence of a model that the stack itself bears, unless it is set otherwise."""
    return float(Settings.model_fields["token_timeout_s"].default)


def _failures(before: Side, after: Side) -> list[str]:
    promises = {
        "nothing was dropped without heartbeats, so there is nothing to compare; more REQUESTS draw "
        "longer silences": before.dropped > 0,
        f"{after.dropped} of {after.answers} answers were dropped with heartbeats": (
            after.dropped == 0
        ),
        f"{before.failed} answers failed without heartbeats, in another way": before.failed == 0,
        f"{after.failed} answers failed with heartbeats, in another way": after.failed == 0,
    }
    return [text for text, kept in promises.items() if not kept]


def _day(chosen: Chosen, tell: Callable[[str], None]) -> dict[str, list[Taken]]:
    endings: Counter[str] = Counter()

    def told(name: str, one: Taken) -> None:
        endings[f"{one.ending} {name}"] += 1
        if endings.total() % TELL_EVERY == 0:
            tell("  " + ", ".join(f"{count:,} {what}" for what, count in sorted(endings.items())))

    stacks = raised(chosen.out, chosen.seed, chosen.times, mutant=chosen.mutant)
    with stacks as ports:
        tell("  both sides are up")
        asked = replayed(ports, chosen.silences, chosen.times, chosen.rate, told)
        return run_until_interrupted(asked)


def _estimate(chosen: Chosen) -> str:
    times = chosen.times
    return (
        f"{chosen.requests:,} answers on each side, {chosen.rate:g} a second, each with one silence "
        f"(log-normal, median {silences.MEDIAN_S:g} s, 95 % within {silences.MOST_S:g} s); idle timeout "
        f"{times.idle_s:g} s, "
        f"heartbeat {times.heartbeat_s:g} s, all times divided by {times.scale:g}: about "
        f"{chosen.estimate_s:.0f} s."
    )
