"""What is looked at after a provocation; each look raises Broken when the promise does not hold."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psutil

from loadtests.provoking.ground import Broken, Ground, Variant, raised
from loadtests.provoking.peers import Answer, Peer, chat, get

LOOK_S = 0.05
_numbers = itertools.count(1)
_one_starts_at_a_time = threading.Lock()


def expect(holds: object, what: str) -> None:
    """Raises Broken with this text when it does not hold."""
    if not holds:
        raise Broken(what)


def eventually(holds: Callable[[], object], what: str, within_s: float) -> float:
    """Waits for it, and returns how many seconds that took; raises Broken."""
    began = time.monotonic()
    while not holds():
        expect(time.monotonic() - began < within_s, f"{what}: not within {within_s:g} s")
        time.sleep(LOOK_S)
    return time.monotonic() - began


@contextlib.contextmanager
def apart(
    ground: Ground,
    name: str,
    settings: Mapping[str, str],
    *,
    variant: Variant | None = None,
    prefix: Sequence[str] = (),
    upstream: str | None = None,
) -> Iterator[Ground]:
    """A stack of its own beside the given one, for a provocation that it would not survive unchanged."""
    chosen = variant or ground.variant
    with contextlib.ExitStack() as running:
        with _one_starts_at_a_time:
            stack = running.enter_context(
                raised(chosen, ground.out / name, settings, prefix=prefix, upstream=upstream)
            )
        yield stack


def fresh(name: str) -> str:
    """A name that was not used before, for a request or a directory."""
    return f"{name}-{next(_numbers)}"


def workers(ground: Ground) -> set[int]:
    """The ids of the processes that take connections."""
    tree = _tree(ground)
    listening = {process.pid for process in tree if _listens(process, ground.port)}
    return listening - {ground.child.pid} or listening


def holders(ground: Ground) -> dict[int, int]:
    """Which process, by its id, holds the server's end of the connection from which port."""
    held: dict[int, int] = {}
    for process in _tree(ground):
        with contextlib.suppress(psutil.Error):
            for link in process.net_connections("tcp"):
                if len(link.raddr) and link.laddr.port == ground.port:
                    held[link.raddr.port] = process.pid
    return held


def holder(ground: Ground, peer: Peer) -> int | None:
    """The id of the process that holds the server's end of this connection."""
    return holders(ground).get(peer.port)


def descriptors(ground: Ground) -> int:
    """Open descriptors of the stack, but for its connections to the upstream, which it may pool."""
    # One of the simulator's connections is the one that asks.
    pooled = int(ground.upstream.stats()["open_connections"]) - 1
    return sum(_counts(_tree(ground))) - pooled


def let_go(ground: Ground, peer: Peer, within_s: float) -> float:
    """Waits until no process holds this connection any more; seconds."""
    return eventually(lambda: holder(ground, peer) is None, "the client's descriptor", within_s)


def upstream_closed(ground: Ground, request_id: str, left_ns: int, within_s: float) -> float:
    """Seconds from `left_ns` to the end of the provider's request, which had begun before."""
    entry = ground.upstream.seen(request_id, within_s=within_s + 5)
    expect(entry["received_ns"] < left_ns, f"{request_id} left before its request was made")
    ended_ns = entry["disconnected_ns"]
    expect(ended_ns is not None, f"the provider told {request_id} everything: nothing was freed")
    took_s = (ended_ns - left_ns) / 1e9
    expect(took_s <= within_s, f"the provider's request was closed after {took_s:.2f} s")
    return float(took_s)


def recorded(ground: Ground, request_id: str, *outcomes: str) -> dict[str, Any]:
    """The one record of the answer, which has one of these outcomes."""
    record: dict[str, Any] = ground.record(request_id)
    expect(record["outcome"] in outcomes, f"{request_id} is recorded as {record['outcome']}")
    return record


def ask(ground: Ground, request: bytes, *, wait_s: float = 10.0) -> Answer:
    """The answer to one request on a connection of its own."""
    with Peer(ground.host, ground.port, wait_s=wait_s) as peer:
        peer.send(request)
        return peer.rest()


def still_serves(ground: Ground, request_id: str) -> None:
    """A stream is answered to its end."""
    answer = ask(ground, chat(request_id, "sim:instant"))
    expect(answer.status == 200 and answer.endings == ["done"], f"{request_id}: {short(answer)}")


def ready(ground: Ground) -> int:
    """The status of /readyz on a new connection; 0 when there is none."""
    with contextlib.suppress(OSError):
        return ask(ground, get("/readyz"), wait_s=1.0).status
    return 0


def short(answer: Answer) -> str:
    """An answer in few words."""
    return f"{answer.status} {answer.code} {answer.endings} {'whole' if answer.whole else 'cut'}"


def _tree(ground: Ground) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(ground.child.pid)
        return [parent, *parent.children(recursive=True)]
    return []


def _listens(process: psutil.Process, port: int) -> bool:
    with contextlib.suppress(psutil.Error):
        links = process.net_connections("tcp")
        return any(link.status == psutil.CONN_LISTEN and link.laddr.port == port for link in links)
    return False


def _counts(processes: list[psutil.Process]) -> Iterator[int]:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            yield process.num_fds()
