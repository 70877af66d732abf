"""The relays that clients who read nothing are held against, each with a simulator of its own."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from loadtests.processes import (
    Child,
    available_cores,
    await_ready,
    deal_cores,
    free_port,
    python,
)
from loadtests.profiles import Profile, write_script
from loadtests.simulation.wire import Frames
from loadtests.stage import Stage
from loadtests.unread.holding import Relay

OURS, RECIPE, QUEUED = "fastapi_app", "articles' recipe", "with its queue of 512"
NAMES = (OURS, RECIPE, QUEUED)
_LOGS = {OURS: OURS, RECIPE: "recipe", QUEUED: "queued"}
_FACTORIES = {RECIPE: "examples.recipe:app", QUEUED: "examples.recipe:queued"}


@dataclass(frozen=True, slots=True)
class Torrent:
    """Answers that last `seconds`, of `rate` tokens a second each."""

    rate: int
    seconds: int

    @property
    def tokens(self) -> int:
        return self.rate * self.seconds


@contextlib.contextmanager
def raised(
    name: str, torrent: Torrent, logs: Path, settings: Mapping[str, str]
) -> Iterator[tuple[Relay, Stage]]:
    """A relay in front of a simulator that does not come to an end; raises StartError."""
    cores = deal_cores(available_cores(), 1)
    with contextlib.ExitStack() as running:
        given = ("--rate", str(torrent.rate), "--for", str(torrent.seconds))
        simulator = Child(
            "simulator",
            python("loadtests.unread.flood", *given),
            logs / "simulator.log",
            cores=cores.simulator,
            piped=True,
        )
        running.callback(simulator.stop)
        line = simulator.readline()
        if not line:
            raise simulator.failed("did not start")
        upstream = str(json.loads(line)["url"])
        port = free_port()
        environment = {"OPENAI_BASE_URL": upstream, "OPENAI_API_KEY": "simulated", **settings}
        log = logs / f"{_LOGS[name]}.log"
        child = Child(name, _command(name, port), log, environment=environment, cores=cores.app)
        running.callback(child.stop)
        await_ready(child, f"http://127.0.0.1:{port}/readyz")
        relay = Relay(name, child, port, upstream, speaks=name == OURS)
        yield relay, Stage({}, cores, simulator, upstream.removesuffix("/v1"))


def _command(name: str, port: int) -> list[str]:
    if name == OURS:
        return python("fastapi_app", "--port", str(port))
    quiet = ("--no-access-log", "--loop", "uvloop", "--http", "httptools")
    return python("uvicorn", "--factory", _FACTORIES[name], "--port", str(port), *quiet)


def recipe_queued(taken: int, given: int, clients: int) -> float:
    """Bytes a client that the recipe holds, as its client would get them.

    It took bytes of the upstream, which are tokens, which are bytes for the client, and it gave fewer.
    """
    upstream, downstream = _bytes_a_token()
    return max(0.0, taken / upstream * downstream - given) / clients


@cache
def _bytes_a_token() -> tuple[float, float]:
    """Of the simulator's frames and of the recipe's, in their chunks: the means of a long answer."""
    many = Profile("sample", first_token_ms=0, generation_ms=1, tokens=100_000)
    frames = Frames("chatcmpl-sim-000001", "sim")
    pieces = write_script(7, "sample", many, "").pieces
    upstream = sum(len(frames.token(piece)) for piece in pieces)
    downstream = sum(len(_recipe_chunk(piece)) for piece in pieces)
    return upstream / len(pieces), downstream / len(pieces)


def _recipe_chunk(piece: str) -> str:
    event = f"data: {json.dumps({'text': piece})}\n\n"
    return f"{len(event):x}\r\n{event}\r\n"
