"""Two stacks that differ in their heartbeat alone, each behind an nginx with a short idle timeout."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from loadtests.idle.side import Times
from loadtests.nginx import proxied
from loadtests.processes import Child, await_ready, free_port, python
from loadtests.stage import simulator
from loadtests.streams import Asking, Taken, take

BEFORE, AFTER = "without heartbeat", "with heartbeat"
NEVER_S = 86_400.0
TOKENS = 20
SHIPPED_IDLE_S = 310
_FOLDERS = {BEFORE: "without", AFTER: "with"}


@contextlib.contextmanager
def raised(out: Path, seed: int, times: Times, *, mutant: bool) -> Iterator[dict[str, int]]:
    """The port of the proxy on each side; raises StartError. The mutant sends no heartbeat on either."""
    heartbeats = {BEFORE: NEVER_S, AFTER: NEVER_S if mutant else times.heartbeat_s / times.scale}
    shipped = f"proxy_read_timeout {SHIPPED_IDLE_S}s;"
    idle = [(shipped, f"proxy_read_timeout {times.idle_s / times.scale * 1000:.0f}ms;")]
    with contextlib.ExitStack() as running:
        _, upstream = simulator(out, "instant", seed, running)
        apps = {
            name: _app(name, upstream, heartbeat_s, out, running)
            for name, heartbeat_s in heartbeats.items()
        }
        ports = {}
        for name, (child, url) in apps.items():
            await_ready(child, f"{url}/readyz")
            folder = out / "nginx" / _FOLDERS[name]
            ports[name] = running.enter_context(proxied(folder, [url], changes=idle)).ports.plain
        yield ports


async def replayed(
    ports: dict[str, int],
    silences: Sequence[float],
    times: Times,
    rate: float,
    told: Callable[[str, Taken], None],
) -> dict[str, list[Taken]]:
    """The same answers on each side at once, `rate` a second; `told` at each end."""
    crowd = [
        _asking(number, silence / times.scale, number / rate)
        for number, silence in enumerate(silences)
    ]

    async def on(name: str, port: int) -> list[Taken]:
        return await take(port, crowd, told=lambda one: told(name, one))

    sides = await asyncio.gather(*(on(*side) for side in ports.items()))
    return dict(zip(ports, sides, strict=True))


def _asking(number: int, pause_s: float, after_s: float) -> Asking:
    model = f"sim:instant+pause-{max(pause_s, 1e-6):.6f}"
    body = {"prompt": "Which train?", "model": model, "max_tokens": TOKENS, "stream": True}
    return Asking(f"idle-{number:06d}", json.dumps(body).encode(), after_s)


def _app(
    name: str, upstream: str, heartbeat_s: float, out: Path, running: contextlib.ExitStack
) -> tuple[Child, str]:
    port = free_port()
    environment = {
        "OPENAI_BASE_URL": upstream,
        "OPENAI_API_KEY": "simulated",
        "CHAT_HEARTBEAT_S": str(heartbeat_s),
        # The stack's own patience with a silent model is not what is looked at.
        "CHAT_TOKEN_TIMEOUT_S": str(NEVER_S),
        "CHAT_ANSWER_TIMEOUT_S": str(NEVER_S),
        "CHAT_UPSTREAM_CONNECTIONS": "20000",
        "CHAT_RESUMABLE": "false",
        "CHAT_LOG_PATH": "",
        "CHAT_DRAIN_GRACE_S": "0",
    }
    log = out / "logs" / f"{_FOLDERS[name]}.log"
    child = Child(name, python("fastapi_app", "--port", str(port)), log, environment=environment)
    running.callback(child.stop)
    return child, f"http://127.0.0.1:{port}"
