"""`make compare`: the same requests against both stacks, interleaved A B B A, and what came of it."""

import argparse
import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterator

from rich.console import Console

from loadtests import nginx, options, page_view, report
from loadtests.interrupt import interruptible
from loadtests.options import OptionError, RunOptions
from loadtests.processes import StartError
from loadtests.replay import Gate, Replay
from loadtests.reporting.records import RunFileError
from loadtests.stage import Stage, StageOptions, fronted, given, raised

INVALID, UNUSABLE, INTERRUPTED = 1, 2, 130
BLOCK_START_S = 4.0
EXTRAS_S = 40.0
NO_PROXY = (
    "There is no {} here, so nothing is measured through nginx; on Debian: apt-get install {}."
)

add_arguments = options.add_arguments


def main(arguments: argparse.Namespace) -> int:
    """Runs the comparison; 0 when it is valid, 1 when not, 2 for a bad option, 130 when interrupted."""
    console = Console()
    try:
        chosen = options.checked(arguments)
    except OptionError as error:
        print(f"compare: {error}", file=sys.stderr)
        return UNUSABLE
    chosen = proxied_if_possible(chosen, console)
    console.print(estimate(chosen))
    make_room(chosen, console)
    replay = Replay(chosen, console)
    try:
        with interruptible(), staged(chosen) as stage:
            replay.perform(stage)
    except (StartError, Gate) as error:
        print(f"compare: {error}", file=sys.stderr)
        return INVALID
    except KeyboardInterrupt:
        replay.interrupted = True
        console.print("Interrupted: every process is stopped, the samples so far are kept.")
    return _conclude(replay, console)


def _conclude(replay: Replay, console: Console) -> int:
    out = replay.options.out
    replay.write()
    try:
        summary = report.write(out)
    except RunFileError as error:
        print(f"compare: {error}", file=sys.stderr)
        return INTERRUPTED if replay.interrupted else INVALID
    console.print(report.table(summary))
    for name in ("report.html", "report.md", "summary.json"):
        console.print(f"  {out / name}", highlight=False)
    if replay.interrupted:
        return INTERRUPTED
    return 0 if summary.valid else INVALID


def proxied_if_possible(chosen: RunOptions, console: Console) -> RunOptions:
    """The options without what goes through nginx where it cannot be, and then a line that says so."""
    lacking = " ".join(nginx.missing())
    if not chosen.proxied or not lacking:
        return chosen
    console.print(NO_PROXY.format(lacking, lacking))
    return dataclasses.replace(chosen, proxied=0)


def estimate(chosen: RunOptions) -> str:
    """How many requests, how, about how long it takes, and where it is kept."""
    pace = f"{chosen.rate:g} requests/s" if chosen.rate else f"{chosen.users} users"
    what = f"{chosen.requests:,} requests a stack, {pace}"
    if chosen.own_endpoints:
        return f"Comparing {chosen.legacy_url} with {chosen.streaming_url}: {what}."
    answer_s = chosen.answer_s
    rate = chosen.rate or chosen.users / max(answer_s, 0.1)
    ways = 2 if chosen.proxied else 1
    blocks = 2 * (chosen.requests + chosen.proxied) / rate + 4 * ways * (answer_s + BLOCK_START_S)
    extras = EXTRAS_S if chosen.article == "A" else answer_s + page_view.about_s(answer_s)
    again = f", {chosen.proxied:,} of them again through nginx" if chosen.proxied else ""
    return (
        f"Comparing both stacks, {chosen.profile} profile in real time: {what}{again}; "
        f"about {(blocks + extras) / 60:.0f} minutes; into {chosen.out}."
    )


def make_room(chosen: RunOptions, console: Console) -> None:
    """A run that is there already moves aside; only the one before it is dropped."""
    if chosen.out.exists() and any(chosen.out.iterdir()):
        before = chosen.out.with_name(f"{chosen.out.name}.previous")
        shutil.rmtree(before, ignore_errors=True)
        chosen.out.rename(before)
        console.print(f"The run that was in {chosen.out} is now in {before}.", highlight=False)
    (chosen.out / "logs").mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def staged(chosen: RunOptions) -> Iterator[Stage]:
    """The stacks of the run: ours, started here, or a team's own."""
    if chosen.legacy_url and chosen.streaming_url:
        yield given(chosen.legacy_url, chosen.streaming_url)
        return
    stage = StageOptions(chosen.out, chosen.profile, chosen.seed, chosen.workers, chosen.threads)
    with raised(stage) as up:
        if not chosen.proxied:
            yield up
            return
        with fronted(up, chosen.out / "nginx") as behind_nginx:
            yield behind_nginx
