"""The ground of a fault: the streaming stack, up as one of its variants, in front of a simulator of its own."""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.processes import Child, await_ready, free_port, python
from loadtests.provoking import scrape
from loadtests.provoking.records import Record, Records
from loadtests.provoking.upstream import PAUSE_S, Broken, Upstream, get

__all__ = ["VARIANTS", "Broken", "Ground", "Record", "Row", "Upstream", "Variant", "get", "raised"]

PROVIDER_KEY = "sk-faults-2d5c1f0e7b9a4c38"
"""The key that the stack shows the simulator; it may appear in no log."""

IN_FLIGHT, QUEUED, TASKS = "chat_answers_in_flight", "chat_queued_bytes", "chat_tasks"
DESCRIPTORS, MEMORY = "process_open_fds", "process_resident_memory_bytes"

_starting = threading.BoundedSemaphore(2)
"""More processes that import at once would only make each other late."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to serve the streaming stack: options of `python -m fastapi_app`.

    `lingers_s` is how long the server keeps the task of a connection that is gone.
    """

    name: str
    options: tuple[str, ...]
    workers: int = 1
    lingers_s: float = 0.0


VARIANTS = (
    Variant("uvicorn-uvloop", ("--loop", "uvloop")),
    Variant("uvicorn-asyncio", ("--loop", "asyncio")),
    Variant("uvicorn-2-workers", ("--workers", "2"), workers=2),
    # asgi_disconnect_grace_period
    Variant("gunicorn-asgi", ("--server", "gunicorn"), lingers_s=3.0),
)


@dataclass
class Ground:
    """What is up. `out` is a directory of its own; `long` asks for full lengths in place of scaled ones."""

    url: str
    host: str
    port: int
    child: Child
    records_path: Path
    variant: Variant
    upstream: Upstream
    out: Path
    long: bool = False
    exit_status: int | None = None
    _records: Records = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._records = Records(self.records_path)

    def records(self) -> dict[str, list[Record]]:
        """All records so far, by request id."""
        return self._records.by_id()

    def record(self, request_id: str, within_s: float = 5.0) -> Record:
        """Waits for the one record of this id; Broken for none or two."""
        deadline = time.monotonic() + within_s
        while not (found := self.records().get(request_id, [])):
            if time.monotonic() > deadline:
                raise Broken(f"no record of {request_id} within {within_s:g} s")
            time.sleep(PAUSE_S)
        if len(found) > 1:
            raise Broken(f"{len(found)} records of {request_id}")
        return found[0]

    def metrics(self) -> dict[str, float]:
        """GET /metrics, summed over the workers; Broken when a worker does not answer."""
        if self.variant.workers == 1:
            return scrape.samples(get(self.url, "/metrics").decode())
        total: Counter[str] = Counter()
        for samples in scrape.each_worker(
            self.host, self.port, self.child.pid, self.variant.workers
        ):
            total.update(samples)
        return dict(total)

    def idle(self, within_s: float = 5.0) -> None:
        """Waits until nothing is in flight here or upstream, and nothing is queued; Broken otherwise."""
        deadline = time.monotonic() + within_s
        while busy := self._busy():
            if time.monotonic() > deadline:
                raise Broken(f"not idle within {within_s:g} s: {busy}")
            time.sleep(PAUSE_S)

    def _busy(self) -> dict[str, float]:
        now = self.metrics()
        upstream = float(self.upstream.stats()["in_flight"])
        held = {IN_FLIGHT: now[IN_FLIGHT], QUEUED: now[QUEUED], "upstream": upstream}
        return {name: value for name, value in held.items() if value}


@dataclass(frozen=True, slots=True)
class Row:
    """One fault and what is promised under it.

    `provoke` gives one line of evidence or raises Broken. `settings` are variables of the environment
    (`CHAT_...`) that shorten the waiting: a long run goes without them; those in `always` hold in both. Rows
    with equal ones share a running stack, unless `alone`: such a row gets a stack of its own. Rows that are
    `together` run at the same time as each other, on the stack that they share: they look at their own
    answers only, and never at the gauges.
    """

    name: str
    promise: str
    provoke: Callable[[Ground], str]
    settings: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    together: bool = False
    always: Mapping[str, str] = field(default_factory=dict)

    def environment(self, long: bool) -> dict[str, str]:
        """What its stack is started with."""
        return {**({} if long else self.settings), **self.always}


@contextlib.contextmanager
def raised(
    variant: Variant,
    out: Path,
    settings: Mapping[str, str] | None = None,
    *,
    profile: str = "article",
    prefix: Sequence[str] = (),
    host: str = "127.0.0.1",
    upstream: str | None = None,
    long: bool = False,
) -> Iterator[Ground]:
    """Starts a simulator and the stack; stops both at the end, and then `exit_status` is the stack's.

    `prefix` is a command in front of the stack's, such as prlimit; `upstream` a base URL in place of the
    simulator's. Raises StartError.
    """
    records_path = out.absolute() / "records.jsonl"
    with contextlib.ExitStack() as running:
        simulated = _simulator(profile, out, running)
        port = free_port()
        environment = {
            "OPENAI_BASE_URL": upstream or f"{simulated.url}/v1",
            "OPENAI_API_KEY": PROVIDER_KEY,
            "CHAT_LOG_PATH": str(records_path),
            "PYTHONUNBUFFERED": "1",
            # Several workers keep sessions in Redis, of which there is none here.
            "CHAT_RESUMABLE": str(variant.workers == 1),
            **(settings or {}),
        }
        where = ("--host", host, "--port", str(port))
        command = [*prefix, *python("fastapi_app", *where, *variant.options)]
        url = f"http://{host}:{port}"
        with _starting:
            child = Child("fastapi_app", command, out / "fastapi_app.log", environment=environment)
            ground = Ground(url, host, port, child, records_path, variant, simulated, out, long)
            running.callback(_stop, ground)
            await_ready(child, f"{url}/readyz")
        yield ground


def _stop(ground: Ground) -> None:
    ground.exit_status = ground.child.stop()


def _simulator(profile: str, out: Path, running: contextlib.ExitStack) -> Upstream:
    arguments = ("simulate", "--profile", profile, "--port", "0")
    command = python("loadtests", *arguments)
    child = Child("simulator", command, out / "simulator.log", piped=True)
    running.callback(child.stop)
    line = child.readline()
    if not line:
        child.process.wait(5)
        raise child.failed("did not start")
    return Upstream(str(json.loads(line)["url"]).removesuffix("/v1"))
