"""`make rolling`: streams through nginx while each backend is drained, stopped and started again.

Once with the grace that is shipped, which is longer than an answer, and once with one so short that streams
under way have to be told `draining` and to go on elsewhere.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from loadtests.audience.generated import await_end, ended
from loadtests.deploying.access_log import sent_again
from loadtests.deploying.clients import Crowd, Journey, keep_asking
from loadtests.deploying.outcome import Model, Outcome, Seen, outcome
from loadtests.deploying.roll import Rolled, roll
from loadtests.deploying.site import BACKENDS, Site, site
from loadtests.deploying.table import table
from loadtests.interrupt import interruptible, run_until_interrupted
from loadtests.nginx import Change
from loadtests.options import OptionError, folder, whole
from loadtests.processes import StartError
from loadtests.profiles import PROFILES

LONG, SHORT = "long", "short"
GRACES_S = {LONG: 20.0, SHORT: 2.0}
"""The first is the default of CHAT_DRAIN_GRACE_S."""
END_S = 60.0
START_S, RESTART_S = 5.0, 1.5


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is taken away to see that it is needed."""

    changes: tuple[Change, ...] = ()
    first: signal.Signals = signal.SIGTERM


MUTANTS = {
    "no-resend": Mutant(changes=((" http_503 non_idempotent;", " non_idempotent;"),)),
    "killed": Mutant(first=signal.SIGKILL),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """`before_s` is the time under load until the first backend is told; `model` is the simulator's default one
    when it is None; `settings` are variables of the backends' environment."""

    streams: int
    profile: str
    seed: int
    out: Path
    mutant: Mutant = Mutant()
    answer_s: float = 0.0
    model: str | None = None
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def before_s(self) -> float:
        """One answer until all have begun, one under way, and the first of them asked again."""
        return 2.2 * self.answer_s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", default="200")
    parser.add_argument("--profile", default="article")
    parser.add_argument("--seed", default="7")
    parser.add_argument("--mutant", default="", help=" or ".join(MUTANTS))
    parser.add_argument("--out", default="out/rolling")


def main(arguments: argparse.Namespace) -> int:
    """0 when nothing was lost nor refused, 1 when something was, 2 for a bad option, 130 when interrupted."""
    console = Console()
    try:
        plan = checked(arguments)
    except OptionError as error:
        print(f"rolling: {error}", file=sys.stderr)
        return 2
    tell = partial(console.print, soft_wrap=True, highlight=False)
    tell(_estimate(plan))
    path = plan.out / "summary.json"
    path.unlink(missing_ok=True)
    try:
        with interruptible():
            passes = {name: deploy(plan, name, grace_s, tell) for name, grace_s in GRACES_S.items()}
    except (StartError, OSError) as error:
        print(f"rolling: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        tell("Interrupted: every process is stopped, nothing was kept.")
        return 130
    return conclude(passes, plan, console)


def conclude(passes: dict[str, Outcome], plan: Plan, console: Console) -> int:
    """Writes summary.json and prints what it says; 1 when a promise was not kept."""
    summary, path = summarise(passes, plan), plan.out / "summary.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    console.print(table(passes))
    console.print(f"  {path}", soft_wrap=True, highlight=False)
    for failure in summary["failures"]:
        print(f"rolling: {failure}", file=sys.stderr)
    return 0 if summary["holds"] else 1


def checked(given: argparse.Namespace) -> Plan:
    """Raises OptionError for the first option that cannot be used."""
    for name, value, known in (
        ("PROFILE", given.profile, PROFILES),
        ("MUTANT", given.mutant or "killed", MUTANTS),
    ):
        if value not in known:
            raise OptionError(f"{name}={value}: there are {', '.join(sorted(known))}")
    profile = PROFILES[given.profile]
    return Plan(
        streams=whole("STREAMS", given.streams, 2, 1000),
        profile=profile.name,
        seed=whole("SEED", given.seed, 0, 2**31),
        out=folder("OUT", given.out),
        mutant=MUTANTS[given.mutant] if given.mutant else Mutant(),
        answer_s=(profile.first_token_ms + profile.generation_ms) / 1000,
    )


def deploy(plan: Plan, name: str, grace_s: float, tell: Callable[[str], None]) -> Outcome:
    """One pass with everything of its own; raises StartError."""
    settings = {"CHAT_DRAIN_GRACE_S": f"{grace_s:g}", **plan.settings}
    where, changes = plan.out / name, plan.mutant.changes
    (where / "nginx" / "access.log").unlink(missing_ok=True)
    tell(f"{name} grace, {grace_s:g} s:")
    with site(where, plan.profile, plan.seed, settings, changes) as up:
        seen = run_until_interrupted(_rolled(up, plan, grace_s, tell))
    return outcome(seen, Model(plan.seed, PROFILES[plan.profile]))


async def _rolled(up: Site, plan: Plan, grace_s: float, tell: Callable[[str], None]) -> Seen:
    over = asyncio.Event()
    crowd = Crowd(up.proxy.ports.plain, plan.streams, plan.answer_s, plan.model)
    asking = asyncio.create_task(keep_asking(crowd, over))
    await asyncio.wait({asking}, timeout=plan.before_s)
    began_ns, backends = time.monotonic_ns(), list[Rolled]()
    for backend in up.backends:
        backends.append(await roll(backend, plan.mutant.first))
        tell(f"  {_line(backends[-1])}")
    ended_ns = time.monotonic_ns()
    over.set()
    journeys = await asking
    return _seen(up, grace_s, (began_ns, ended_ns), backends, journeys)


def _seen(
    up: Site,
    grace_s: float,
    span_ns: tuple[int, int],
    backends: list[Rolled],
    journeys: list[Journey],
) -> Seen:
    if await_end(up.stage, END_S) is None:
        raise StartError(f"the model still works {END_S:.0f} s after the last client")
    with up.proxy.access_log.open(encoding="utf-8") as lines:
        return Seen(grace_s, *span_ns, backends, journeys, ended(up.stage), sent_again(lines))


def summarise(passes: dict[str, Outcome], plan: Plan) -> dict[str, Any]:
    """What summary.json holds; `failures` are the promises that were not kept."""
    failures = [
        f"{name} grace: {failure}"
        for name, one in passes.items()
        for failure in _failures(name, one)
    ]
    return {
        "streams": plan.streams,
        "profile": plan.profile,
        "seed": plan.seed,
        "passes": passes,
        "claims": [],
        "failures": failures,
        "holds": not failures,
    }


def _failures(name: str, one: Outcome) -> list[str]:
    """A pass in which nothing happened shows nothing."""
    promises = {
        f"{one.refused} requests were refused": one.refused == 0,
        f"{one.lost} answers were lost": one.lost == 0,
        f"{one.broken_off} streams ended without a word": one.broken_off == 0,
        f"{one.finished - one.whole} of {one.finished} answers are not the model's": (
            one.whole == one.finished
        ),
        f"{one.told} streams were told draining: it is shorter than an answer": (
            name != LONG or one.told == 0
        ),
        "no session had to go on elsewhere: it is longer than an answer": (
            name != SHORT or one.resumed > 0
        ),
        "no request was sent during the roll": one.requests > 0,
        **{
            f"{each.backend} ended with status {each.status}": each.status == 0
            for each in one.backends
        },
    }
    return [text for text, kept in promises.items() if not kept]


def _estimate(plan: Plan) -> str:
    rolls_s = sum(
        len(BACKENDS) * (min(each, plan.answer_s) + RESTART_S) for each in GRACES_S.values()
    )
    around_s = plan.before_s + plan.answer_s + START_S
    seconds = rolls_s + len(GRACES_S) * around_s
    graces = " and ".join(f"{grace_s:g} s" for grace_s in GRACES_S.values())
    return (
        f"{plan.streams} clients through nginx, half of them with sessions, {plan.profile} profile, while "
        f"{len(BACKENDS)} backends are restarted in turn, with a grace of {graces}: about {seconds:.0f} s."
    )


def _line(one: Rolled) -> str:
    unready = "" if one.unready_ms is None else f", not ready after {one.unready_ms:.0f} ms"
    return (
        f"{one.backend}: {one.answers} answers under way{unready}, stopped after {one.stopped_s:.1f} s, "
        f"ready again after {one.ready_s:.1f} s"
    )
