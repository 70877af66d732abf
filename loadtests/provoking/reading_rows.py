"""A client that does not read, and beside it one that reads a little now and then."""

import time

from loadtests.provoking.evidence import LOOK_S, apart, expect, let_go, recorded, short
from loadtests.provoking.ground import QUEUED, Ground, Row
from loadtests.provoking.hose import HOSE, Hose, Jet, hose, token
from loadtests.provoking.leaving_rows import QUICK
from loadtests.provoking.peers import Answer, Peer, chat

SEND_TIMEOUT_S = 4.0
LET_GO_S = 1.0
SETTINGS = {"CHAT_SEND_TIMEOUT_S": f"{SEND_TIMEOUT_S:g}", "CHAT_SEND_BUFFER_BYTES": "8192"}
SMALL_BUFFER = 2048
QUEUED_AT_MOST = 32 * 1024
"""What one client may hold in the process: the queue's 8 KiB, one read of the provider, one frame of it."""

LIVE_TOKENS = 3000
LIVE_BUFFER = 16 * 1024
SIP_BYTES = 8 * 1024
SIP_PAUSE_S = 0.2
"""Slower, and TCP itself stands still for seconds: its probes of a small window back off."""


def reading(ground: Ground) -> str:
    """One after the other, so that what is queued is the first one's alone."""
    with hose() as upstream, apart(ground, "reading", SETTINGS, upstream=upstream.url) as stack:
        evidence = non_reading(stack, upstream)
        return f"{evidence}; {slow_but_live(stack)}"


def non_reading(stack: Ground, upstream: Hose) -> str:
    request_id = "non-reading"
    jet = upstream.jet(request_id)
    with Peer(stack.host, stack.port, receive_buffer=SMALL_BUFFER) as peer:
        peer.send(chat(request_id, HOSE))
        began = time.monotonic()
        queued = _most_queued(stack, jet)
        cut_s = time.monotonic() - began
        let_go(stack, peer, LET_GO_S)
        answer = peer.rest()
    expect(cut_s >= SEND_TIMEOUT_S, f"cut after {cut_s:.1f} s already")
    expect(jet.silent_s > SEND_TIMEOUT_S / 2, "the provider wrote on, although nobody read")
    expect(not answer.whole and not answer.endings, f"the client got {short(answer)}")
    recorded(stack, request_id, "slow_reader")
    expect(0 < queued <= QUEUED_AT_MOST, f"{queued:.0f} bytes are queued")
    return f"paused at token {jet.written}, {queued:.0f} bytes queued, cut after {cut_s:.1f} s"


def _most_queued(stack: Ground, jet: Jet) -> float:
    """Bytes, until the provider's request is closed."""
    most, deadline = 0.0, time.monotonic() + SEND_TIMEOUT_S + 3
    while not jet.closed.wait(LOOK_S):
        expect(time.monotonic() < deadline, "the provider's request is still open")
        most = max(most, stack.metrics()[QUEUED])
    return most


def slow_but_live(stack: Ground) -> str:
    request_id = "slow-but-live"
    began = time.monotonic()
    answer = _sipped(stack, request_id)
    took_s = time.monotonic() - began
    expect(took_s > SEND_TIMEOUT_S, f"the answer took {took_s:.1f} s only")
    expect(answer.whole and answer.endings == ["done"], f"who read slowly got {short(answer)}")
    expect(answer.text == "".join(map(token, range(LIVE_TOKENS))), "the text is not the provider's")
    recorded(stack, request_id, "finished")
    return f"a slow one got all {len(answer.text)} characters in {took_s:.1f} s"


def _sipped(stack: Ground, request_id: str) -> Answer:
    with Peer(stack.host, stack.port, receive_buffer=LIVE_BUFFER) as peer:
        peer.send(chat(request_id, HOSE, max_tokens=LIVE_TOKENS))
        while not peer.answer.whole and peer.take(SIP_BYTES):
            time.sleep(SIP_PAUSE_S)
        return peer.answer


ROWS = (
    Row(
        "non-reading client, and a slow but live one",
        "the provider's socket paused, queued bytes bounded, cut at the send timeout, recorded "
        "slow_reader, let go; the live one is not cut and gets every byte",
        reading,
        QUICK,
        together=True,
    ),
)
