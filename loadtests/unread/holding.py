"""Clients who ask for an answer and read nothing of it, and what a relay holds for them meanwhile."""

import contextlib
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from loadtests.drink import LAST_CHUNK
from loadtests.processes import Child, rss_mib
from loadtests.unread.sock_diag import Link, links

RECEIVE_BUFFER = 4096
"""SO_RCVBUF of a client, which the kernel doubles: it takes about 3 KB and then closes its window."""
ETHERNET_MSS = 1448
"""Loopback's segments of 64 KB would make the kernel offer the relay a send buffer of 2.6 MB a client."""
COME_S, SLOWEST_S = 5.0, 0.1
EVERY_S = 0.5
STILL_S = 3.0
METRICS_S = 60.0
RELEASED_EVERY_S = 0.02
STILL_BYTES = 1024
_QUEUED = "chat_queued_bytes"


@dataclass(frozen=True, slots=True)
class Relay:
    """What stands between the simulator and the clients; `upstream` is the simulator's URL.

    One that `speaks` says at GET /metrics what it holds.
    """

    name: str
    child: Child
    port: int
    upstream: str
    speaks: bool

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Sample:
    """A relay at one moment, `at_s` seconds into the hold; bytes are those of all its connections.

    `streams` are its connections to the upstream. `taken` came from there, `given` went to the kernel for the
    clients; `downstream` and `upstream` are what the relay's sockets hold in the kernel, `queued` what it says
    that it holds itself.
    """

    at_s: float
    streams: int
    rss: int
    taken: int
    given: int
    downstream: int
    upstream: int
    queued: int | None


@contextlib.contextmanager
def held(port: int, asked: bytes, count: int) -> Iterator[list[socket.socket]]:
    """`count` clients that have asked and do not read, until the `with` ends; they come over COME_S seconds."""
    with contextlib.ExitStack() as connected:
        clients = []
        for _ in range(count):
            clients.append(connected.enter_context(_client(port, asked)))
            time.sleep(min(SLOWEST_S, COME_S / count))
        yield clients


def _client(port: int, asked: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_MSS)
    client.connect(("127.0.0.1", port))
    client.sendall(asked)
    return client


def watch(
    relay: Relay, least_s: float, most_s: float, tell: Callable[[Sample], None]
) -> list[Sample]:
    """Samples of a hold of `least_s`, and of more while the relay takes more, but not beyond `most_s`."""
    started = time.monotonic()
    samples: list[Sample] = []
    while True:
        at_s = time.monotonic() - started
        samples.append(look(relay, at_s))
        tell(samples[-1])
        if at_s >= least_s and (at_s >= most_s or not grows(samples)):
            return samples
        # The clients must not read: there is no event to wait for, only the next look.
        time.sleep(EVERY_S)


def grows(samples: Sequence[Sample]) -> bool:
    """Whether the relay still moved bytes over the last STILL_S seconds, or had other streams before them.

    What it takes at once it may give for long, so that either is a sign that it goes on.
    """
    last = samples[-1]
    before = [earlier for earlier in samples if earlier.at_s <= last.at_s - STILL_S]
    if not before or before[-1].streams != last.streams:
        return True
    moved = max(last.taken - before[-1].taken, last.given - before[-1].given)
    return moved > STILL_BYTES


def look(relay: Relay, at_s: float = 0.0) -> Sample:
    """One sample, now."""
    if relay.child.process.poll() is not None:
        raise relay.child.failed("ended")
    every = links()
    down = [link for link in every if link.local_port == relay.port]
    up = _streams(relay, every)
    return Sample(
        at_s=at_s,
        streams=len(up),
        rss=round(rss_mib(relay.child.pid) * 2**20),
        taken=sum(link.read for link in up),
        given=sum(link.written for link in down),
        downstream=sum(link.unacknowledged for link in down),
        upstream=sum(link.unread for link in up),
        queued=round(gauge(relay, _QUEUED)) if relay.speaks else None,
    )


def _streams(relay: Relay, every: list[Link]) -> list[Link]:
    upstream_port = urlsplit(relay.upstream).port
    return [link for link in every if link.remote_port == upstream_port]


def released(relay: Relay, most_s: float) -> tuple[float | None, int]:
    """Seconds until the relay has closed its connections to the upstream, and how many it has left.

    None, and more than none, when it took longer than `most_s`.
    """
    started = time.monotonic()
    while open_now := len(_streams(relay, links())):
        if time.monotonic() - started > most_s:
            return None, open_now
        time.sleep(RELEASED_EVERY_S)
    return round(time.monotonic() - started, 3), 0


def gauge(relay: Relay, name: str) -> float:
    """A gauge of the relay's own /metrics; raises StartError when it is not there, or not in time."""
    try:
        with urllib.request.urlopen(f"{relay.url}/metrics", timeout=METRICS_S) as response:
            lines = response.read().decode().splitlines()
    except OSError as error:
        raise relay.child.failed(f"did not answer GET /metrics ({error})") from None
    for line in lines:
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise relay.child.failed(f"has no {name} in its /metrics")


def were_cut(clients: Sequence[socket.socket]) -> int:
    """How many of these clients find, when they read at last, that the relay has broken off their answer."""
    return sum(_was_cut(client) for client in clients)


def _was_cut(client: socket.socket) -> bool:
    client.settimeout(STILL_S)
    last = b""
    try:
        while data := client.recv(1 << 16):
            last = data
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return not last.endswith(LAST_CHUNK)
