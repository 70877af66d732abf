"""One crowd of readers through a proxy: what they took, what the model wrote for them, and the CPU of it."""

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.http2 import take_http2
from loadtests.interrupt import run_until_interrupted
from loadtests.nginx import Proxy
from loadtests.processes import cpu_s
from loadtests.stage import Stage
from loadtests.streams import EVENTS, Asking, OnTaken, Taken, take
from loadtests.turning.ground import Written, deadline_miss_ms, written
from loadtests.turning.rows import Reading

A_SECOND = 50.0
"""Streams that begin, where nothing else is said."""
ON_A_CONNECTION = 50
"""Streams that share a connection of HTTP/2."""
WARM = 8
"""Answers before the ones that count, and the tokens of each."""
GZIPPED = (*EVENTS, ("Accept-Encoding", "gzip"))


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of each process, the seconds that passed, and those that the app was kept off its core."""

    wall_s: float
    app_s: float
    proxy_s: float
    simulator_s: float
    client_s: float
    app_waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Played:
    """A crowd's answers, the model's entries by request id, and how well the harness kept up."""

    taken: Sequence[Taken]
    written: dict[str, Written]
    cost: Cost
    deadline_miss_ms: float


def crowd(
    prefix: str,
    streams: int,
    model: str,
    *,
    a_second: float = A_SECOND,
    most: int | None = None,
) -> list[Asking]:
    """So many streams of a model, one after the other; answers have at most `most` tokens."""
    body = {"prompt": "What is between a token and its reader?", "model": model}
    sent = json.dumps(body if most is None else {**body, "max_tokens": most}).encode()
    return [Asking(f"{prefix}-{number:04d}", sent, number / a_second) for number in range(streams)]


def play(stage: Stage, pids: tuple[int, int], reading: Callable[[], Sequence[Taken]]) -> Played:
    """Reads a crowd to its end; `pids` are the app's and nginx's."""
    assert stage.simulator is not None
    written(stage)
    deadline_miss_ms(stage)
    children = (*pids, stage.simulator.pid)
    before = [cpu_s(pid) for pid in children]
    waited_s = _waited_s(pids[0])
    client_s, began = time.process_time(), time.monotonic()
    with _uncollected():
        taken = reading()
    wall_s, client_s = time.monotonic() - began, time.process_time() - client_s
    app_s, proxy_s, simulator_s = (
        cpu_s(pid) - spent for pid, spent in zip(children, before, strict=True)
    )
    waited_s = _waited_s(pids[0]) - waited_s
    cost = Cost(wall_s, app_s, proxy_s, simulator_s, client_s, waited_s)
    return Played(taken, written(stage), cost, deadline_miss_ms(stage))


def _waited_s(pid: int) -> float:
    """Seconds for which another process had the core of a process that could run: Linux's schedstat."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def warm(proxy: Proxy) -> None:
    """A few answers before the ones that count: a first one waits for imports and connections."""
    run_until_interrupted(take(proxy.ports.plain, crowd("warm", WARM, "sim:instant", most=WARM)))


@contextmanager
def _uncollected() -> Iterator[None]:
    """A collection in this process would stop the clock of every reader at once, and look like the stack."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def read(
    proxy: Proxy,
    readers: Sequence[Asking],
    how: Reading = "HTTP/1.1",
    told: OnTaken = lambda _: None,
    *,
    on_a_connection: int = ON_A_CONNECTION,
) -> list[Taken]:
    """The crowd through nginx, as the row's clients read; raises NoHttp2."""
    if how == "HTTP/2":
        lines = -(-len(readers) // on_a_connection)
        port, certificate = proxy.ports.tls, proxy.certificate
        return run_until_interrupted(
            take_http2(port, certificate, readers, connections=lines, told=told)
        )
    if how == "gzip":
        readers = [replace(asking, headers=GZIPPED) for asking in readers]
    if how == "TLS":
        return run_until_interrupted(
            take(proxy.ports.tls, readers, certificate=proxy.certificate, told=told)
        )
    return run_until_interrupted(take(proxy.ports.plain, readers, told=told))
