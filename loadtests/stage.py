"""The simulator and both stacks, up and pinned alike, for as long as a `with` lasts."""

import contextlib
import json
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from loadtests.nginx import Proxy, proxied
from loadtests.processes import (
    Child,
    Cores,
    StartError,
    available_cores,
    await_ready,
    deal_cores,
    free_port,
    python,
)
from loadtests.reporting.records import STACKS, StackName
from loadtests.scenarios import Way

LEGACY: StackName = "legacy_flask"
STREAMING: StackName = "fastapi_app"


@dataclass(frozen=True, slots=True)
class StageOptions:
    """How the stage is set; `threads` is a worker of the batch stack, ports of 0 are chosen free.

    `settings` are variables of the environment (`CHAT_...`) of both stacks.
    """

    out: Path
    profile: str = "article"
    seed: int = 7
    workers: int = 1
    threads: int = 100
    host: str = "127.0.0.1"
    ports: tuple[int, int, int] = (0, 0, 0)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack; `child` is None for a team's own endpoint, whose CPU and memory we cannot read."""

    name: str
    url: str
    child: Child | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What is up; without a simulator the stacks are a team's own."""

    stacks: dict[StackName, Stack]
    cores: Cores
    simulator: Child | None = None
    upstream: str = ""
    proxies: Mapping[StackName, Proxy] = field(default_factory=dict)

    def url(self, name: StackName, way: Way = "direct") -> str:
        """Where a stack is reached by a way; KeyError where no nginx is before it."""
        return self.stacks[name].url if way == "direct" else self.proxies[name].url

    def control(self, path: str) -> bytes:
        """The answer of the simulator's control endpoint, such as `stats` or `timeline`."""
        with urllib.request.urlopen(f"{self.upstream}/control/{path}", timeout=60) as response:
            return bytes(response.read())


@contextlib.contextmanager
def raised(options: StageOptions) -> Iterator[Stage]:
    """Starts the simulator and both stacks; raises StartError, and stops whatever it started."""
    cores = deal_cores(available_cores(), options.workers)
    for port in filter(None, options.ports):
        _check_free(options.host, port)
    with contextlib.ExitStack() as running:
        model, upstream = simulator(
            options.out,
            options.profile,
            options.seed,
            running,
            port=options.ports[0],
            cores=cores.simulator,
        )
        environment = {
            "OPENAI_BASE_URL": upstream,
            "OPENAI_API_KEY": "simulated",
            "CHAT_LEGACY_THREADS": str(options.threads),
            # Several workers keep sessions in Redis, of which there is none here.
            "CHAT_RESUMABLE": str(options.workers == 1),
            **options.settings,
        }
        stacks = {
            name: _stack(name, port, options, cores, environment, running)
            for name, port in zip(STACKS, options.ports[1:], strict=True)
        }
        for stack in stacks.values():
            assert stack.child is not None
            await_ready(stack.child, f"{stack.url}/readyz")
        yield Stage(stacks, cores, model, upstream.removesuffix("/v1"))


@contextlib.contextmanager
def fronted(stage: Stage, folder: Path) -> Iterator[Stage]:
    """The stage with nginx as shipped before each stack, one each, where simulator and client are.

    Raises StartError.
    """
    with contextlib.ExitStack() as running:
        proxies = {
            name: running.enter_context(
                proxied(folder / name, [stack.url], cores=stage.cores.client)
            )
            for name, stack in stage.stacks.items()
        }
        yield replace(stage, proxies=proxies)


def given(legacy_url: str, streaming_url: str) -> Stage:
    """A team's own endpoints, which are up already."""
    everywhere = frozenset[int]()
    stacks = {LEGACY: Stack(LEGACY, legacy_url), STREAMING: Stack(STREAMING, streaming_url)}
    return Stage(stacks, Cores(everywhere, everywhere, everywhere))


def simulator(
    out: Path,
    profile: str,
    seed: int,
    running: contextlib.ExitStack,
    *,
    port: int = 0,
    cores: frozenset[int] = frozenset(),
) -> tuple[Child, str]:
    """The simulated upstream and its base URL, stopped with `running`; raises StartError."""
    arguments = ("--profile", profile, "--seed", str(seed), "--port", str(port))
    log = out / "logs" / "simulator.log"
    command = python("loadtests", "simulate", *arguments)
    child = Child("simulator", command, log, cores=cores, piped=True)
    running.callback(child.stop)
    line = child.readline()
    if not line:
        child.process.wait(5)
        raise child.failed("did not start")
    return child, str(json.loads(line)["url"])


def _stack(
    name: str,
    port: int,
    options: StageOptions,
    cores: Cores,
    environment: dict[str, str],
    running: contextlib.ExitStack,
) -> Stack:
    port = port or free_port()
    where = ("--host", options.host, "--port", str(port), "--workers", str(options.workers))
    log = options.out / "logs" / f"{name}.log"
    child = Child(name, python(name, *where), log, environment=environment, cores=cores.app)
    running.callback(child.stop)
    return Stack(name, f"http://{options.host}:{port}", child)


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"port {port} on {host} is in use or not allowed ({error.strerror})"
            ) from None
