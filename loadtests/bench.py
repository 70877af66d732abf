"""`make bench`: CPU microseconds a relayed token, of our stack, the articles' recipe and nginx, in one run.

Every relay has the same core to itself and carries the same streams from start to end; its CPU over all of
them, the handling of the requests included, is divided by the tokens that the simulator wrote.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import uvloop
from rich.console import Console
from rich.table import Table

from loadtests.drink import drink, request
from loadtests.processes import (
    Child,
    StartError,
    available_cores,
    await_ready,
    cpu_s,
    deal_cores,
    free_port,
    pinned,
    python,
)
from loadtests.profiles import ARTICLE
from loadtests.stage import simulator

OURS, RECIPE, NGINX = "fastapi_app", "articles' recipe", "nginx, bytes through"
MOST_US, LEAST_RATIO = 60.0, 4.0
PATIENCE_S = 120.0
CONF = Path(__file__).with_name("relay.conf")
UPSTREAM_BODY = json.dumps(
    {
        "model": "sim",
        "messages": [{"role": "user", "content": "Tell me about relays."}],
        "stream": True,
    }
).encode()
"""The request that nginx passes on by itself; the other two make theirs from a prompt."""


@dataclass(frozen=True, slots=True)
class Relay:
    """What stands between the simulator and the readers."""

    name: str
    child: Child
    port: int
    asked: bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))


def main(arguments: argparse.Namespace) -> int:
    """0 when our stack is within MOST_US and LEAST_RATIO times cheaper than the recipe; else 1."""
    console = Console()
    relays = 3 if shutil.which("nginx") else 2
    seconds = arguments.rounds * relays * 10
    console.print(f"{arguments.streams} streams through {relays} relays: about {seconds:.0f} s.")
    try:
        costs = uvloop.run(_measure(arguments, console))
    except StartError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    summary = summarise(costs, arguments.streams)
    (arguments.out / "summary.json").write_text(json.dumps(summary, indent=1))
    console.print(_table(summary))
    return 0 if summary["holds"] else 1


def summarise(costs: dict[str, list[float]], streams: int) -> dict[str, object]:
    """Medians of the rounds in microseconds a token, and each as a ratio to ours."""
    ours = median(costs[OURS])
    return {
        "streams": streams,
        "relays": {
            name: {
                "us_per_token": round(median(rounds), 1),
                "ratio": round(median(rounds) / ours, 2),
                "rounds": [round(cost, 1) for cost in rounds],
            }
            for name, rounds in costs.items()
        },
        "promise": {"most_us": MOST_US, "least_ratio": LEAST_RATIO},
        "holds": ours <= MOST_US and median(costs[RECIPE]) >= LEAST_RATIO * ours,
    }


def _table(summary: dict[str, object]) -> Table:
    table = Table("relay", "µs CPU a token", "against ours", title="Cost of a relayed token")
    relays = summary["relays"]
    assert isinstance(relays, dict)
    for name, row in relays.items():
        table.add_row(name, f"{row['us_per_token']:.1f}", f"{row['ratio']:.2f} x")
    return table


async def _measure(arguments: argparse.Namespace, console: Console) -> dict[str, list[float]]:
    out: Path = arguments.out
    shutil.rmtree(out, ignore_errors=True)
    costs: dict[str, list[float]] = {}
    with ExitStack() as running:
        relays = _raise_relays(out, running)
        for relay in relays:
            await drink(relay.port, relay.asked, 1, PATIENCE_S)
        for number in range(arguments.rounds):
            for relay in relays:
                cost = await _cost(relay, arguments.streams)
                costs.setdefault(relay.name, []).append(cost)
                console.print(f"  round {number + 1}: {relay.name} {cost:.1f} µs")
    return costs


async def _cost(relay: Relay, streams: int) -> float:
    cpu = cpu_s(relay.child.pid)
    whole = await drink(relay.port, relay.asked, streams, PATIENCE_S)
    used = cpu_s(relay.child.pid) - cpu
    if whole != streams:
        raise relay.child.failed(f"broke {streams - whole} of {streams} streams")
    return used / (streams * ARTICLE.tokens) * 1e6


def _raise_relays(out: Path, running: ExitStack) -> list[Relay]:
    cores = deal_cores(available_cores(), 1)
    running.enter_context(pinned(cores.client))
    _, upstream = simulator(out, "article", 7, running, cores=cores.simulator)
    environment = {"OPENAI_BASE_URL": upstream, "OPENAI_API_KEY": "simulated"}
    relays = []
    for name, make in _commands(out, upstream).items():
        port = free_port()
        log = out / "logs" / f"{name.split()[0]}.log"
        child = Child(name, make(port), log, environment=environment, cores=cores.app)
        running.callback(child.stop)
        await_ready(child, f"http://127.0.0.1:{port}/readyz")
        relays.append(Relay(name, child, port, _asked(name)))
    return relays


def _commands(out: Path, upstream: str) -> dict[str, Callable[[int], list[str]]]:
    def recipe(port: int) -> list[str]:
        quiet = ("--no-access-log", "--loop", "uvloop", "--http", "httptools")
        return python("uvicorn", "--factory", "examples.recipe:app", "--port", str(port), *quiet)

    def nginx(port: int) -> list[str]:
        where = urlsplit(upstream).netloc
        conf = (out / "relay.conf").resolve()
        conf.write_text(CONF.read_text().format(run=conf.parent, upstream=where, port=port))
        return ["nginx", "-c", str(conf), "-p", str(conf.parent), "-g", "daemon off;"]

    commands: dict[str, Callable[[int], list[str]]] = {
        OURS: lambda port: python("fastapi_app", "--port", str(port)),
        RECIPE: recipe,
    }
    return commands | ({NGINX: nginx} if shutil.which("nginx") else {})


def _asked(name: str) -> bytes:
    if name == NGINX:
        return request("POST", "/v1/chat/completions", UPSTREAM_BODY)
    return request("GET", "/chat?prompt=Tell+me+about+relays.")
