"""`make bench-limiter`: what it costs to ask whether a user may (B7), in memory and in a real Redis.

Beside it stand a bare PING by the same client, below which nothing can go, and the articles' four commands in a
pipeline. REDIS_URL names a Redis; without it a redis-server is started on a free port, and stopped.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from loadtests.interrupt import interruptible, run_until_interrupted
from loadtests.limiter_calls import (
    NAMES,
    PING,
    REDIS,
    async_calls,
    async_timed,
    calls,
    counted,
    timed,
    users,
)
from loadtests.options import OptionError, folder, whole
from loadtests.processes import StartError
from loadtests.redis_server import redis_server
from loadtests.reporting.limiter_claims import ARTICLE_P99_MS, Costs, b7
from loadtests.stats import Distribution, distribution
from shared.redis_link import Unreachable

SYNC, ASYNC = "threads", "event loop"
WARM_UP = 200
Figures = dict[str, dict[str, Distribution]]
"""By who asks (`threads, 1 at once`), then by what is asked; ms."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", default="10000", help="calls of each kind")
    parser.add_argument("--clients", default="50", help="calls at once, beside one after the other")
    parser.add_argument("--out", default="out/bench-limiter")


def main(arguments: argparse.Namespace) -> int:
    """0 when Redis decided every call, 1 when not, 2 for a bad option, 130 when interrupted."""
    console = Console()
    try:
        out = folder("OUT", arguments.out)
        count = whole("REQUESTS", arguments.requests, 100, 200_000)
        clients = whole("CLIENTS", arguments.clients, 2, 500)
    except OptionError as error:
        print(f"bench-limiter: {error}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    path = out / "summary.json"
    path.unlink(missing_ok=True)
    try:
        with interruptible(), _redis(out) as url:
            summary = measured(url, count, clients, partial(console.print, highlight=False))
    except (StartError, RedisError, OSError, Unreachable) as error:
        print(f"bench-limiter: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: every process is stopped, nothing was kept.")
        return 130
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    console.print(_table(summary["ms"]))
    claim = summary["claims"][0]
    console.print(f"B7, {claim.verdict}: {claim.measured}.", soft_wrap=True, highlight=False)
    console.print(f"  {path}", soft_wrap=True, highlight=False)
    for failure in summary["failures"]:
        print(f"bench-limiter: {failure}", file=sys.stderr)
    return 0 if summary["holds"] else 1


def measured(url: str, count: int, clients: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """What summary.json holds; `failures` says when a process decided in place of Redis."""
    prefix = f"bench-{secrets.token_hex(4)}"
    figures: Figures = {}
    tell(f"{count:,} calls of each of {len(NAMES)} kinds, four times over.")
    try:
        for at_once in (1, clients):
            for kind, ask in ((SYNC, _threads), (ASYNC, _tasks)):
                title = f"{kind}, {at_once} at once"
                figures[title] = ask(url, prefix, count, at_once)
                tell(f"  {title}: admit in Redis p50 {figures[title][REDIS].p50:.3f} ms")
    finally:
        decided = counted(url, prefix)
    return summarise(figures, clients, asked=4 * (count + WARM_UP), decided=decided)


def summarise(figures: Figures, clients: int, *, asked: int, decided: int) -> dict[str, Any]:
    """The figures, the claim, and whether they are of Redis at all."""
    alone, crowded = figures[f"{ASYNC}, 1 at once"], figures[f"{ASYNC}, {clients} at once"]
    failures = [] if asked == decided else [f"Redis counted {decided:,} of {asked:,} calls"]
    return {
        "clients": clients,
        "ms": figures,
        "article_p99_ms": ARTICLE_P99_MS,
        "claims": [b7(Costs(alone[REDIS], crowded[REDIS], alone[PING], clients))],
        "failures": failures,
        "holds": not failures,
    }


def _threads(url: str, prefix: str, count: int, clients: int) -> dict[str, Distribution]:
    whose, taken = users(prefix), {}
    with calls(url) as named:
        for name, call in named.items():
            timed(call, whose, WARM_UP, clients)
            taken[name] = _distribution(timed(call, whose, count, clients))
    return taken


def _tasks(url: str, prefix: str, count: int, clients: int) -> dict[str, Distribution]:
    async def run() -> dict[str, Distribution]:
        whose, taken = users(prefix), {}
        async with async_calls(url) as named:
            for name, call in named.items():
                await async_timed(call, whose, WARM_UP, clients)
                taken[name] = _distribution(await async_timed(call, whose, count, clients))
        return taken

    return run_until_interrupted(run())


def _distribution(milliseconds: list[float]) -> Distribution:
    found = distribution(milliseconds)
    assert found is not None
    return found


@contextmanager
def _redis(out: Path) -> Iterator[str]:
    """REDIS_URL, or a server of our own; raises StartError."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    with redis_server(out / "logs") as url:
        yield url


def _table(figures: Figures) -> Table:
    table = Table("", *NAMES, title="What a call waits, ms: p50 / p95 / p99")
    for title, row in figures.items():
        shown = (row[name] for name in NAMES)
        table.add_row(title, *(f"{one.p50:.3f} / {one.p95:.3f} / {one.p99:.3f}" for one in shown))
    return table
