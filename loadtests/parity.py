"""`make parity`: are the answers the same? One corpus to both stacks, and the ledger of what may differ."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from loadtests import options
from loadtests.equality.behind import PROXIES, Front, asked_behind_nginx
from loadtests.equality.comparing import ParityResult, compare, examine, settings
from loadtests.equality.corpus import corpus
from loadtests.equality.mutants import KEY, MUTANTS
from loadtests.equality.progress import progress
from loadtests.equality.timing import timed
from loadtests.interrupt import interruptible
from loadtests.ledger import LedgerError, load_ledger
from loadtests.options import OptionError, RunOptions
from loadtests.processes import StartError
from loadtests.stage import StageOptions, raised


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run; only the profile, the URLs, the targets and where to write matter."""
    options.add_arguments(parser)
    parser.set_defaults(profile="instant", out="out/parity")
    parser.add_argument("--mutant", default="", help=f"a defect: {', '.join(MUTANTS)}")
    parser.add_argument("--proxy", default="", help=f"nginx before both: {', '.join(PROXIES)}")


def main(arguments: argparse.Namespace) -> int:
    """0 when the stacks answer alike, 1 when not or when one does not start, 2 for what cannot be used."""
    console = Console()
    try:
        mutant, proxy = _mutant(arguments), _proxy(arguments)
        chosen = options.checked(arguments)
        with interruptible():
            result = _performed(chosen, mutant, proxy, console)
    except (OptionError, LedgerError) as error:
        print(f"parity: {error}", file=sys.stderr)
        return 2
    except StartError as error:
        print(f"parity: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("parity: interrupted; every process is stopped", file=sys.stderr)
        return 130
    return _conclude(result, chosen.out, proxy)


def _mutant(arguments: argparse.Namespace) -> str:
    name = str(arguments.mutant)
    if name and name not in MUTANTS:
        raise OptionError(f"MUTANT={name}: there are {', '.join(MUTANTS)}")
    if name and arguments.legacy_url:
        raise OptionError(f"MUTANT={name}: a defect goes with our own stacks, not with LEGACY_URL")
    return name


def _proxy(arguments: argparse.Namespace) -> str:
    name = str(arguments.proxy)
    if name and name not in PROXIES:
        raise OptionError(f"PROXY={name}: there are {', '.join(PROXIES)}")
    if name and arguments.legacy_url:
        raise OptionError(f"PROXY={name}: nginx goes before our own stacks, not before LEGACY_URL")
    return name


def _performed(chosen: RunOptions, mutant: str, proxy: str, console: Console) -> ParityResult:
    if chosen.legacy_url and chosen.streaming_url:
        with progress(console, "requests") as advance:
            urls = (chosen.legacy_url, chosen.streaming_url)
            return compare(*urls, chosen.targets, advance=advance)
    entries, streams = load_ledger(), list(timed())
    probes = asked_behind_nginx(entries) if proxy else corpus(KEY)
    front = Front(proxy, chosen.out / "nginx") if proxy else None
    stage = StageOptions(
        chosen.out, chosen.profile, chosen.seed, chosen.workers, settings=settings(chosen.profile)
    )
    with raised(stage) as up, progress(console, "requests", len(probes) + len(streams)) as advance:
        return examine(
            up,
            probes,
            streams,
            entries,
            defect=MUTANTS.get(mutant),
            front=front,
            whole=not proxy,
            advance=advance,
        )


def _conclude(result: ParityResult, out: Path, proxy: str) -> int:
    for line in (*result.differences, *_listed(result)):
        print(line)
    print(_sentence(result, proxy))
    out.mkdir(parents=True, exist_ok=True)
    summary = {
        "proxy": proxy or None,
        "compared": result.compared,
        "streams_timed": result.streams_timed,
        "unlisted": result.unlisted,
        "stale": result.stale,
        "listed": result.listed,
        "holds": not result.differences,
    }
    (out / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=1), "utf-8")
    return 1 if result.differences else 0


def _listed(result: ParityResult) -> Iterator[str]:
    width = max(map(len, result.listed), default=0)
    for name, count in result.listed.items():
        yield f"  {name:{width}}  {count:4} request{'s' if count != 1 else ''}"


def _sentence(result: ParityResult, proxy: str) -> str:
    seen, entries = sum(result.listed.values()), len(result.listed)
    ledger = f"{seen} listed differences in {entries} entries, " if entries else ""
    stale = f", {len(result.stale)} stale" if result.stale else ""
    through = f" through nginx ({proxy})" if proxy else ""
    word = "the answers differ" if result.differences else result.alike
    return (
        f"Parity{through}: {result.compared} requests, {result.streams_timed} streams timed, "
        f"{ledger}{len(result.unlisted)} unlisted{stale}: {word}."
    )
