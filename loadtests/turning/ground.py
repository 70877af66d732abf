"""What a row stands on: the simulator, the app with its knobs, and nginx before it."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.nginx import Proxy, proxied
from loadtests.processes import Child, await_ready, free_port, python
from loadtests.stage import Stage
from loadtests.turning.rows import HTTPTOOLS, Row

FACTORY = "examples.knobs:app"


class Written(msgspec.Struct, frozen=True):
    """What the model did for one request, from the simulator's timeline."""

    request_id: str
    received_ns: int
    first_ns: int | None
    last_ns: int | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One app and the nginx before it, both up."""

    app: Child
    proxy: Proxy


@contextlib.contextmanager
def standing(stage: Stage, row: Row, folder: Path) -> Iterator[Standing]:
    """The row's app behind the row's nginx; raises StartError, ChangeError."""
    with contextlib.ExitStack() as running:
        app, url = _app(stage, row, folder, running)
        proxy = running.enter_context(
            proxied(folder / "nginx", [url], changes=row.changes, cores=stage.cores.client)
        )
        yield Standing(app, proxy)


def _app(stage: Stage, row: Row, folder: Path, running: contextlib.ExitStack) -> tuple[Child, str]:
    port = free_port()
    http = HTTPTOOLS if row.server == "httptools" else row.server
    quiet = ("--loop", "uvloop", "--no-access-log", "--timeout-graceful-shutdown", "1")
    environment = {
        "OPENAI_BASE_URL": f"{stage.upstream}/v1",
        "OPENAI_API_KEY": "simulated",
        "KNOB_WRONG": ",".join(row.wrong),
        **dict(row.settings),
    }
    app = Child(
        row.name,
        python("uvicorn", "--factory", FACTORY, "--port", str(port), "--http", http, *quiet),
        folder / "app.log",
        environment=environment,
        cores=stage.cores.app,
    )
    running.callback(app.stop)
    await_ready(app, f"http://127.0.0.1:{port}/readyz")
    return app, f"http://127.0.0.1:{port}"


def written(stage: Stage) -> dict[str, Written]:
    """What the model did since the last call, by request id; calling forgets it."""
    lines = stage.control("timeline").splitlines()
    entries = (msgspec.json.decode(line, type=Written) for line in lines)
    return {entry.request_id: entry for entry in entries}


def deadline_miss_ms(stage: Stage) -> float:
    """The 99th percentile of how late the simulator's tokens were since the last call."""
    stats = json.loads(stage.control("stats?reset=1"))
    return float(stats["deadline_miss_ms"]["p99"])
