"""Signals to the stack itself: SIGTERM with streams running, SIGKILL of one worker among two."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from dataclasses import replace
from http.client import HTTPException

from loadtests.provoking import evidence
from loadtests.provoking.crowd import Told, ask
from loadtests.provoking.evidence import (
    apart,
    eventually,
    expect,
    fresh,
    holders,
    ready,
    short,
    still_serves,
    upstream_closed,
)
from loadtests.provoking.ground import IN_FLIGHT, Broken, Ground, Row, Variant
from loadtests.provoking.hose import HOSE, MUTE, hose
from loadtests.provoking.leaving_rows import QUICK
from loadtests.provoking.peers import Peer, chat

STREAMS = 200
GRACE_S = 3.0
EXIT_S = 2.0
DRAINING = {"CHAT_DRAIN_GRACE_S": f"{GRACE_S:g}"}
SHORT_TOKENS = 60
"""An answer of 2 s, which ends within the grace; a whole one takes 7.6 s."""
AT_ONCE_S = 1.0
STALLED = 20
A_TIME, AT_LEAST_EACH, AT_MOST = 12, 2, 60
# uvicorn waits 30 s for a worker that was killed between its ping and the pong.
REPLACED_WITHIN_S = 45.0


def sigterm(ground: Ground) -> str:
    return asyncio.run(_sigterm(ground))


def sigterm_stalled(ground: Ground) -> str:
    """Neither who waits for a first token nor who does not read may hold the exit up."""
    with (
        hose() as upstream,
        apart(ground, "stalled", DRAINING, upstream=upstream.url) as stack,
        contextlib.ExitStack() as peers,
    ):
        blocked = peers.enter_context(Peer(stack.host, stack.port, receive_buffer=2048))
        blocked.send(chat("blocked", HOSE))
        jet = upstream.jet("blocked")
        eventually(lambda: jet.written and jet.silent_s > 0.5, "a full pipe", within_s=5)
        waiting = {
            fresh("stalled"): peers.enter_context(Peer(stack.host, stack.port))
            for _ in range(STALLED)
        }
        for request_id, peer in waiting.items():
            peer.send(chat(request_id, MUTE))
        eventually(lambda: stack.metrics()[IN_FLIGHT] == STALLED + 1, "all streams", within_s=5)
        exit_s = _terminate(stack)
        for request_id, peer in waiting.items():
            answer = peer.rest()
            told = answer.code == "draining" or answer.endings == ["failure draining"]
            expect(told, f"{request_id}: {short(answer)}")
        outcomes = [stack.record(request_id)["outcome"] for request_id in waiting]
        expect(set(outcomes) == {"drained"}, f"recorded as {set(outcomes)}")
        cut = stack.record("blocked")["outcome"]
        expect(cut in ("drained", "slow_reader"), f"the one who did not read is recorded as {cut}")
    return f"exit 0 after {exit_s:.1f} s, {STALLED} told draining, the one who did not read: {cut}"


def sigkill(ground: Ground) -> str:
    with apart(ground, "sigkill", DRAINING, variant=_of_two(ground.variant)) as stack:
        with contextlib.ExitStack() as peers:
            streams = _spread(stack, peers)
            _, victim = next(iter(streams.values()))
            killed_ns = time.monotonic_ns()
            os.kill(victim, signal.SIGKILL)
            slowest_s = 0.0
            for request_id, (peer, pid) in streams.items():
                answer = peer.rest()
                if pid != victim:
                    expect(answer.endings == ["done"], f"{request_id}: {short(answer)}")
                    continue
                expect(not answer.whole, f"{request_id} of the killed worker is whole")
                closed_s = upstream_closed(stack, request_id, killed_ns, within_s=1.0)
                slowest_s = max(slowest_s, closed_s)
        eventually(lambda: _all_serve(stack), "a replacement that serves", REPLACED_WITHIN_S)
        for _ in range(8):
            still_serves(stack, fresh("after-sigkill"))
        _terminate(stack, streaming=False)
    lost = sum(pid == victim for _, pid in streams.values())
    kept = len(streams) - lost
    return f"{kept} streams finished, {lost} lost and closed upstream within {slowest_s:.2f} s, replaced"


async def _sigterm(ground: Ground) -> str:
    begun = _begun(ground) + STREAMS
    crowd = [Told(fresh("sigterm")) for _ in range(STREAMS)]
    limits = [SHORT_TOKENS if index % 2 else None for index in range(STREAMS)]
    streams = [
        asyncio.create_task(
            ask(
                ground.host,
                ground.port,
                chat(one.request_id, "sim:article", max_tokens=limit),
                one,
            )
        )
        for one, limit in zip(crowd, limits, strict=True)
    ]
    all_begun = lambda: _begun(ground) == begun  # noqa: E731
    await asyncio.to_thread(eventually, all_begun, "all streams", 10.0)
    exit_s = await asyncio.to_thread(_terminate, ground)
    await asyncio.gather(*streams)
    for one, limit in zip(crowd, limits, strict=True):
        ending = "done" if limit else "failure draining"
        expect(one.answer.endings == [ending], f"{one.request_id}: {short(one.answer)}")
        outcome = ground.record(one.request_id)["outcome"]
        expect(outcome == ("finished" if limit else "drained"), f"recorded as {outcome}")
    return f"{STREAMS // 2} finished, {STREAMS // 2} told draining, exit 0 after {exit_s:.1f} s"


def _begun(ground: Ground) -> int:
    """How many requests the provider has seen so far."""
    stats = ground.upstream.stats()
    return int(stats["requests"]) + int(stats["in_flight"])


def _terminate(ground: Ground, *, streaming: bool = True) -> float:
    """Sends SIGTERM, looks at the refusals, and waits for the exit: seconds that it took."""
    process = ground.child.process
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    if streaming:
        eventually(lambda: _refuses(ground), "/readyz 503", AT_ONCE_S)
        answer = evidence.ask(ground, chat(fresh("too-late"), "sim:instant"))
        expect((answer.status, answer.code) == (503, "draining"), f"new work: {short(answer)}")
    try:
        status = process.wait(GRACE_S + EXIT_S - (time.monotonic() - began))
    except subprocess.TimeoutExpired:
        raise Broken(f"still running {GRACE_S + EXIT_S:g} s after SIGTERM") from None
    expect(status == 0, f"exit status {status}")
    return time.monotonic() - began


def _refuses(ground: Ground) -> bool:
    """Which worker answers is chance: each is asked several times."""
    return all(ready(ground) == 503 for _ in range(4 * ground.variant.workers))


def _all_serve(ground: Ground) -> bool:
    with contextlib.suppress(Broken, OSError, HTTPException):
        return bool(ground.metrics())
    return False


def _of_two(variant: Variant) -> Variant:
    if variant.workers == 2:
        return variant
    return replace(variant, options=(*variant.options, "--workers", "2"), workers=2)


def _spread(ground: Ground, peers: contextlib.ExitStack) -> dict[str, tuple[Peer, int]]:
    """Streams under way on both workers, and which has each: the kernel deals connections as it likes."""
    streams: dict[str, Peer] = {}
    while len(streams) < AT_MOST:
        for _ in range(A_TIME):
            peer = peers.enter_context(Peer(ground.host, ground.port))
            request_id = fresh("sigkill")
            peer.send(chat(request_id, "sim:article"))
            streams[request_id] = peer
        for peer in streams.values():
            peer.until(b"event: delta")
        held = holders(ground)
        dealt = Counter(held[peer.port] for peer in streams.values())
        if len(dealt) == 2 and min(dealt.values()) >= AT_LEAST_EACH:
            return {request_id: (peer, held[peer.port]) for request_id, peer in streams.items()}
    raise Broken(f"one worker got all {AT_MOST} connections")


ROWS = (
    Row(
        f"SIGTERM with {STREAMS} streams",
        "/readyz 503 and new work refused; those that end in the grace are done, the others told "
        "draining; exit 0 within grace + 2 s; each recorded once",
        sigterm,
        DRAINING,
        alone=True,
    ),
    Row(
        "SIGTERM with stalled and unread streams",
        "told draining, or cut; exit 0 within grace + 2 s; each recorded once",
        sigterm_stalled,
        QUICK,
        alone=True,
    ),
    Row(
        "SIGKILL of one worker among two",
        "the other's streams finish; the provider's requests are closed; it is replaced; exit 0 later",
        sigkill,
        QUICK,
        alone=True,
    ),
)
