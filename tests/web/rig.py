"""What the page needs, up: a browser on a network of its own, both stacks, and relays between them."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Playwright

from tests.chromium import FLAGS
from tests.servers import PAUSE_S, Record, Server, Simulator, app
from tests.web.brisk import brisk, simulator
from tests.web.network import Network
from tests.web.relay import Relay, relaying

MODEL = brisk(140, 3300, 0.6)
KEY = "page-test-key-3f9c"
USER = f"ada:{hashlib.sha256(KEY.encode()).hexdigest()}"
TICKET_S = 1.0
SHORT_TICKETS = {"CHAT_TICKET_S": str(TICKET_S)}
RECONNECT_S = 1.0
ENDED_S = 20.0
SCREENSHOTS = "SCREENSHOTS"
"""The variable that names a folder for screenshots; without it they go where the test's other files go."""


@dataclass(frozen=True)
class Rig:
    """`front` leads to the streaming stack and `batch` to the other; `keyed` to one that takes a key.

    The tickets of `keyed` are dead after TICKET_S seconds.
    """

    network: Network
    provider: Simulator
    front: Relay
    batch: Relay
    keyed: Relay
    servers: dict[str, Server] = field(repr=False)

    def streams(self) -> set[str]:
        """The ids of all streams that have ended upstream."""
        self.provider.seen("")
        records = self.provider.records.items()
        return {name for name, kept in records if any(one["stream"] for one in kept)}


@contextmanager
def standing(network: Network, directory: Path) -> Iterator[Rig]:
    """The servers on loopback, the relays on the browser's network."""
    with ExitStack() as opened:
        front, batch, keyed = (opened.enter_context(relaying(network.host)) for _ in range(3))
        provider = opened.enter_context(simulator(directory, MODEL))
        streaming = {"CHAT_LEGACY_URL": batch.url, "CHAT_RECONNECT_S": str(RECONNECT_S)}
        apps = {
            front: ("fastapi_app", streaming),
            batch: ("legacy_flask", {"CHAT_CORS_ORIGINS": f"{front.url},{keyed.url}"}),
            keyed: ("fastapi_app", streaming | {"CHAT_API_KEYS": USER} | SHORT_TICKETS),
        }
        starts = [(name, directory, provider.base_url, given) for name, given in apps.values()]
        servers: dict[str, Server] = {provider.url: provider}
        for relay, server in zip(apps, started(opened, starts), strict=True):
            relay.target = server.port
            servers[relay.url] = server
        yield Rig(network, provider, front, batch, keyed, servers)


def streamed(provider: Simulator, request_id: str) -> list[Record]:
    """All streams with this id that the provider was asked for, once it has no answer under way."""
    provider.in_flight(0, ENDED_S)
    return [one for one in provider.seen(request_id) if one["stream"]]


def first_streamed(provider: Simulator, request_id: str) -> Record:
    """The first stream with this id to end, at once when it has."""
    deadline = time.monotonic() + ENDED_S
    while not (found := [one for one in provider.seen(request_id) if one["stream"]]):
        assert time.monotonic() < deadline, f"no stream {request_id} ended upstream"
        time.sleep(PAUSE_S)
    return found[0]


Start = tuple[str, Path, str, dict[str, str]]
"""What `tests.servers.app` takes."""


def started(opened: ExitStack, starts: Sequence[Start]) -> list[Server]:
    """Apps that are started at the same time, and stopped with this stack."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda start: opened.enter_context(app(*start)), starts))


def launched(playwright: Playwright, program: str, network: Network, directory: Path) -> Browser:
    """Chromium inside; it can resolve no name at all."""
    kept = [flag for flag in FLAGS if not flag.startswith(("--headless", "--host-resolver"))]
    return playwright.chromium.launch(
        executable_path=network.wrapper(program, directory),
        args=[*kept, f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {network.host}"],
    )


def screenshots(directory: Path) -> Path:
    """Where they go: the folder of the environment, or this one."""
    folder = Path(os.environ.get(SCREENSHOTS) or directory)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
