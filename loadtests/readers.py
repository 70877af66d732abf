"""`make readers`: impatient readers against both stacks: who gives up, and what is paid for (B4, B5).

The same seeded readers come to the batch stack and to the streaming stack. Of claim B4 only abandonment is
measured: rage-clicks need a page, and a model of who clicks.
"""

import argparse
import contextlib
import dataclasses
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec
from rich.console import Console
from rich.table import Table

from loadtests.audience import reader_options
from loadtests.audience.generated import await_end, ended
from loadtests.audience.patience import PATIENCE_SIGMA, WORDS_A_TOKEN, mean_paid, population
from loadtests.audience.reader_options import Chosen
from loadtests.audience.visits import Crowd, Visit, come
from loadtests.interrupt import interruptible, run_until_interrupted
from loadtests.options import OptionError
from loadtests.processes import StartError
from loadtests.reporting.reader_claims import TOKENS_DROP, b4, b5
from loadtests.reporting.readership import CLOSED_WITHIN_MS, Readership, Share, readership
from loadtests.reporting.records import KINDS, STACKS, StackName
from loadtests.stage import LEGACY, STREAMING, Stage, StageOptions, raised
from loadtests.stats import Distribution

EARLY = (0.0, 0.25, 0.5, 1.0)
END_S = 60.0
TELL_EVERY = 100

add_arguments = reader_options.add_arguments


def main(arguments: argparse.Namespace) -> int:
    """0 when the streaming stack stopped for all who left, 1 when not, 2 for a bad option, 130 on Ctrl-C."""
    console = Console()
    try:
        chosen = reader_options.checked(arguments)
    except OptionError as error:
        print(f"readers: {error}", file=sys.stderr)
        return 2
    tell = partial(console.print, soft_wrap=True)
    tell(_estimate(chosen))
    path = chosen.out / "summary.json"
    path.unlink(missing_ok=True)
    options = StageOptions(chosen.out, chosen.profile, chosen.seed, threads=chosen.threads)
    try:
        with interruptible(), raised(options) as stage, _abrupt(stage):
            stacks = {name: _visited(name, stage, chosen, tell) for name in STACKS}
    except (StartError, OSError) as error:
        print(f"readers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        tell("Interrupted: every process is stopped, nothing was kept.")
        return 130
    summary = summarise(stacks, chosen)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    console.print(_table(stacks))
    tell(_conclusion(summary, chosen))
    console.print(f"  {path}", highlight=False)
    for failure in summary["failures"]:
        print(f"readers: {failure}", file=sys.stderr)
    return 0 if summary["holds"] else 1


def summarise(stacks: dict[StackName, Readership], chosen: Chosen) -> dict[str, Any]:
    """What summary.json holds; `ideal` are the tokens an answer of a stack that stops the moment one leaves."""
    failures = _failures(stacks)
    batch, stream = stacks[LEGACY], stacks[STREAMING]
    return {
        "readers": chosen.readers,
        "rate": chosen.rate,
        "profile": chosen.profile,
        "seed": chosen.seed,
        "habits": {**dataclasses.asdict(chosen.habits), "patience_sigma": PATIENCE_SIGMA},
        "stacks": stacks,
        "tokens_change": stream.paid / batch.paid - 1,
        "ideal": {f"{early:g}": round(_ideal(chosen, early), 1) for early in EARLY},
        "claims": [b4(batch.abandoned, stream.abandoned), b5(batch.paid, stream.paid)],
        "failures": failures,
        "holds": not failures,
    }


@contextlib.contextmanager
def _abrupt(stage: Stage) -> Iterator[None]:
    """On Ctrl-C the model goes first: a stack that is asked to end would wait for the answers under way."""
    try:
        yield
    except KeyboardInterrupt:
        if stage.simulator:
            stage.simulator.stop()
        raise


def _ideal(chosen: Chosen, early: float) -> float:
    habits = dataclasses.replace(chosen.habits, early=early)
    return mean_paid(population(habits, chosen.readers, chosen.seed), chosen.model)


def _failures(stacks: dict[StackName, Readership]) -> list[str]:
    outlived = stacks[STREAMING].outlived
    promises = {
        f"{name}: {stack.failed} visits failed": stack.failed == 0 for name, stack in stacks.items()
    }
    promises[
        f"{outlived} upstream requests of the streaming stack outlived their readers by more than "
        f"{CLOSED_WITHIN_MS:.0f} ms"
    ] = outlived == 0
    return [text for text, kept in promises.items() if not kept]


def _visited(
    name: StackName, stage: Stage, chosen: Chosen, tell: Callable[[str], None]
) -> Readership:
    """The whole crowd at one stack, and what the model made for it; raises StartError."""
    stack = stage.stacks[name]
    readers = population(chosen.habits, chosen.readers, chosen.seed)
    crowd = Crowd(readers, chosen.rate, chosen.model, chosen.seed)
    endings: Counter[str] = Counter()

    def told(visit: Visit) -> None:
        endings[visit.ending] += 1
        if endings.total() % TELL_EVERY == 0:
            each = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
            tell(f"  {name}: {each}")

    visits = run_until_interrupted(come(urlsplit(stack.url).port or 0, KINDS[name], crowd, told))
    if await_end(stage, END_S) is None:
        raise StartError(f"the model still works for {name} {END_S:.0f} s after its last reader")
    return readership(visits, ended(stage), chosen.model)


def _estimate(chosen: Chosen) -> str:
    seconds = 2 * (chosen.readers / chosen.rate + chosen.answer_s) + 10
    habits = chosen.habits
    return (
        f"{chosen.readers} readers at each stack, {chosen.rate:g} a second, {chosen.profile} profile: patience "
        f"of {habits.patience_s:g} s at the median (log-normal, sigma {PATIENCE_SIGMA:.2f}), "
        f"{habits.words_a_minute:g} words a minute, {habits.early:.0%} leave at a glance; "
        f"about {seconds:.0f} s."
    )


ROWS: dict[str, Callable[[Readership], str]] = {
    "first visible text, p50": lambda one: _ms(one.shown_ms),
    "gave up before it": lambda one: _share(one.abandoned),
    "left in the middle of the answer": lambda one: f"{one.left}",
    "had the whole answer": lambda one: f"{one.finished}",
    "tokens made and paid for, an answer": lambda one: f"{one.paid:.1f}",
    "of them after the reader had gone": lambda one: f"{one.paid_after:.1f}",
    "tokens read, an answer": lambda one: f"{one.read:.1f}",
    "model at work after a reader left, p50": lambda one: _ms(one.outlived_ms),
    "for more than a second": lambda one: f"{one.outlived} times",
}


def _table(stacks: dict[StackName, Readership]) -> Table:
    table = Table("", title="Impatient readers")
    for name in stacks:
        table.add_column(name, justify="right")
    for title, shown in ROWS.items():
        table.add_row(title, *(shown(one) for one in stacks.values()))
    return table


def _ms(spread: Distribution | None) -> str:
    return "" if spread is None else f"{spread.p50:,.0f} ms"


def _share(one: Share) -> str:
    return f"{one.share:.1%} ({one.low:.1%} to {one.high:.1%})"


def _conclusion(summary: dict[str, Any], chosen: Chosen) -> str:
    batch = summary["stacks"][LEGACY].paid
    glances = ", ".join(
        f"{float(early):.0%} {tokens / batch - 1:+.0%}"
        for early, tokens in summary["ideal"].items()
    )
    moment_s = (1 - TOKENS_DROP) * chosen.model.generation_ms / 1000
    words = chosen.habits.words_a_minute / 60 * moment_s
    return "\n".join(
        (
            f"A stack that stops at once makes {_ideal(chosen, chosen.habits.early):.1f} tokens an answer for "
            f"these; by the share who leave at a glance: {glances}.",
            f"For {-TOKENS_DROP:+.0%} the average reader leaves {moment_s:.1f} s after the first text, when "
            f"they can have read {words:.0f} of {chosen.model.tokens * WORDS_A_TOKEN:.0f} words.",
            *(f"{claim.id}, {claim.verdict}: {claim.measured}." for claim in summary["claims"]),
        )
    )
