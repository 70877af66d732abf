"""Clients that leave: with a RST, with a FIN, or without a word."""

import time
from collections.abc import Callable

from loadtests.provoking.evidence import apart, fresh, let_go, recorded, upstream_closed
from loadtests.provoking.ground import Ground, Row
from loadtests.provoking.peers import Peer, chat

PATIENCE_S = 1.0
FREED_WITHIN_S = 45.0
QUICK = {"CHAT_HEARTBEAT_S": "1", "CHAT_SEND_TIMEOUT_S": "2", "CHAT_REQUEST_TIMEOUT_S": "2"}
"""Short times, so that a row that waits for one of them is done soon; in a long run the defaults hold."""

Leave = Callable[[Peer], None]
Await = Callable[[Peer], None]

_FOUND = "everything freed within 45 s, recorded once"
_CLOSED = (
    "the provider's request closed within 1 s, recorded once as cancelled, the descriptor gone"
)


def first_token(peer: Peer) -> None:
    peer.until(b"event: delta")


def patience(peer: Peer) -> None:
    """The client's own: its request is with the provider by then, and nothing has come."""
    time.sleep(PATIENCE_S)


def ping(peer: Peer) -> None:
    peer.until(b": ping")


def leaving(
    model: str, wait: Await, leave: Leave, *, stream: bool = True
) -> Callable[[Ground], str]:
    """Asks, waits, leaves, and looks what is freed."""

    def provoke(ground: Ground) -> str:
        request_id = fresh("leaving")
        with Peer(ground.host, ground.port) as peer:
            peer.send(chat(request_id, model, stream=stream))
            wait(peer)
            left_ns = time.monotonic_ns()
            leave(peer)
            closed_s = upstream_closed(ground, request_id, left_ns, within_s=1.0)
            let_go(ground, peer, within_s=1.0)
        record = recorded(ground, request_id, "cancelled")
        return f"closed after {closed_s * 1000:.0f} ms, {record['tokens']} tokens recorded"

    return provoke


def vanishing(model: str, wait: Await) -> Callable[[Ground], str]:
    """Like `leaving`, but the server has to find out by itself."""

    def provoke(ground: Ground) -> str:
        if not ground.long:
            return _vanish(ground, model, wait)
        with apart(ground, fresh("defaults"), {}) as stack:
            return _vanish(stack, model, wait)

    return provoke


def _vanish(ground: Ground, model: str, wait: Await) -> str:
    request_id = fresh("vanishing")
    with Peer(ground.host, ground.port, wait_s=FREED_WITHIN_S) as peer:
        peer.send(chat(request_id, model))
        wait(peer)
        peer.vanish()
        left_ns = time.monotonic_ns()
        freed_s = upstream_closed(ground, request_id, left_ns, within_s=FREED_WITHIN_S)
        let_go(ground, peer, within_s=1.0)
    record = recorded(ground, request_id, "cancelled", "slow_reader")
    return f"freed after {freed_s:.1f} s, recorded as {record['outcome']}"


_LEAVING = (
    ("RST mid-stream", "sim:article", first_token, Peer.reset),
    ("FIN mid-stream", "sim:article", first_token, Peer.close),
    ("half-close mid-stream", "sim:article", first_token, Peer.finish_sending),
    ("RST before the first token", "sim:article+stall", patience, Peer.reset),
    ("FIN before the first token", "sim:article+stall", patience, Peer.close),
    ("RST after a heartbeat, before the first token", "sim:article+stall", ping, Peer.reset),
)
_VANISHING = (
    ("dead peer mid-stream (no FIN, no RST)", "sim:article+stall-mid", first_token),
    ("dead peer in an upstream silence", "sim:article+stall", ping),
)
ROWS = (
    *(
        Row(name, _CLOSED, leaving(model, wait, leave), QUICK, together=True)
        for name, model, wait, leave in _LEAVING
    ),
    Row(
        "RST of a waiting batch request",
        _CLOSED,
        leaving("sim:article", patience, Peer.reset, stream=False),
        QUICK,
        together=True,
    ),
    *(
        Row(name, _FOUND, vanishing(model, wait), QUICK, together=True)
        for name, model, wait in _VANISHING
    ),
)
