"""Two backends with one Redis behind the shipped nginx, and a simulated model behind them."""

import contextlib
import random
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.nginx import Change, Proxy, proxied
from loadtests.processes import Child, Cores, StartError, await_ready, python
from loadtests.redis_server import redis_server
from loadtests.stage import Stage, simulator

BACKENDS = ("backend-1", "backend-2")
STEADY_PORTS = range(20_000, 32_768)
"""Below those that Linux gives to outgoing connections: none takes the port of a backend that is away."""


class Backend:
    """One process of the streaming stack, started again at the same port; `started_ns` is of its last start."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.port = steady_port()
        self._environment = dict(environment)
        self._log = log
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns at once: whether it is ready is asked at /readyz."""
        self.started_ns = time.monotonic_ns()
        command = python("fastapi_app", "--port", str(self.port))
        self.child = Child(self.name, command, self._log, environment=self._environment)


@dataclass(frozen=True, slots=True)
class Site:
    proxy: Proxy
    backends: tuple[Backend, ...]
    stage: Stage


@contextlib.contextmanager
def site(
    folder: Path,
    profile: str,
    seed: int,
    settings: Mapping[str, str],
    changes: Sequence[Change] = (),
) -> Iterator[Site]:
    """All of it, up and ready; raises StartError, and stops whatever it started.

    `settings` are variables of the environment of the backends.
    """
    with contextlib.ExitStack() as running:
        redis = running.enter_context(redis_server(folder / "logs"))
        model, upstream = simulator(folder, profile, seed, running)
        provider = {"OPENAI_BASE_URL": upstream, "OPENAI_API_KEY": "simulated"}
        environment = {**provider, "REDIS_URL": redis, **settings}
        backends = tuple(_backend(name, environment, folder, running) for name in BACKENDS)
        for backend in backends:
            await_ready(backend.child, f"{backend.url}/readyz")
        urls = [backend.url for backend in backends]
        proxy = running.enter_context(proxied(folder / "nginx", urls, changes=changes))
        everywhere = Cores(*[frozenset[int]()] * 3)
        yield Site(proxy, backends, Stage({}, everywhere, model, upstream.removesuffix("/v1")))


def _backend(
    name: str, environment: Mapping[str, str], folder: Path, running: contextlib.ExitStack
) -> Backend:
    backend = Backend(name, environment, folder / "logs" / f"{name}.log")
    # Whoever it is by then, and without a grace: at the end nobody is served any more.
    running.callback(lambda: backend.child.stop(signal.SIGINT))
    return backend


def steady_port() -> int:
    """A free port that no outgoing connection is given while nobody listens there."""
    for port in random.sample(STEADY_PORTS, 200):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise StartError("there is no free port from 20000 to 32767")
