"""Many clients at once: more than the pool, more than the descriptors, and simply many."""

import asyncio
import contextlib
import resource
import time
from collections.abc import Iterator, Sequence

from loadtests.provoking.crowd import Patience, Told, ask, persist, stays
from loadtests.provoking.evidence import (
    apart,
    descriptors,
    eventually,
    expect,
    fresh,
    recorded,
    short,
    still_serves,
    workers,
)
from loadtests.provoking.ground import Ground, Row
from loadtests.provoking.leaving_rows import QUICK
from loadtests.provoking.peers import Answer, chat

POOL = 2
IN_POOL = {"CHAT_UPSTREAM_CONNECTIONS": str(POOL)}
STREAMS = 50
ABORTED_OF_TEN = 3
FAST_S, SERVED_WITHIN_S = 1.0, 30.0
QUICK_MODEL = "sim:production"
QUICK_TOKENS = 5

FEW = 256
OVER = 350
SPARE_DESCRIPTORS = 8

MANY = 1000


def pool_of_two(ground: Ground) -> str:
    """Each worker has its own pool."""
    with apart(ground, "pool", IN_POOL) as stack:
        return _pool_of_two(stack)


def _pool_of_two(ground: Ground) -> str:
    told = [Told(f"pool-{index}") for index in range(STREAMS)]
    asyncio.run(_at_once(ground, told))
    refused = [one for one in told if one.answer.status == 503]
    expect(STREAMS // 2 <= len(refused) <= STREAMS - POOL, f"{len(refused)} were refused")
    for one in refused:
        _expect_refusal(one)
        expect(one.took_s < FAST_S, f"{one.request_id} was refused after {one.took_s:.2f} s")
    again = [Told(f"{one.request_id}-again") for one in refused]
    asyncio.run(_until_served(ground, again))
    for one in again:
        served = one.left or one.answer.endings == ["done"]
        expect(served, f"{one.request_id}: {short(one.answer)}")
    ground.idle()
    after = asyncio.run(_together(ground, "pool-after", STREAMS, QUICK_MODEL))
    at_once = sum(one.answer.endings == ["done"] for one in after)
    expect(at_once >= POOL * ground.variant.workers, f"{at_once} served at once afterwards")
    left = sum(one.left for one in (*told, *again))
    return f"{len(refused)} fast 503s, all served later, {left} left midway, no slot leaked"


def few_descriptors(ground: Ground) -> str:
    with apart(ground, "descriptors", {}, prefix=("prlimit", f"--nofile={FEW}:{FEW}")) as stack:
        return _few_descriptors(stack)


def _few_descriptors(ground: Ground) -> str:
    before, pids = descriptors(ground), workers(ground)
    told = asyncio.run(_together(ground, "descriptors", OVER, "sim:article"))
    served = [one for one in told if one.answer.endings == ["done"]]
    expect(served, "none was answered")
    refused = [one for one in told if one.answer.status == 503]
    for one in refused:
        _expect_refusal(one)
    # With no descriptor left libuv closes what it accepts, unread: the client was told nothing, and may retry.
    turned_away = [one for one in told if one.answer == Answer()]
    others = [one for one in told if one not in (*served, *refused, *turned_away)]
    expect(not others, f"{len(others)} like {[short(one.answer) for one in others[:1]]}")
    expect(workers(ground) == pids, "a worker was lost")
    still_serves(ground, fresh("after-descriptors"))
    back = lambda: descriptors(ground) <= before + SPARE_DESCRIPTORS  # noqa: E731
    eventually(back, "the descriptors", within_s=5)
    return f"{len(served)} answered, {len(refused)} got a 503, {len(turned_away)} no connection"


def many_connects(ground: Ground) -> str:
    with _room_for(MANY):
        began = time.monotonic()
        told = asyncio.run(_together(ground, "connect", MANY, "sim:instant"))
        took_s = time.monotonic() - began
    broken = sum(one.broken for one in told)
    expect(not broken, f"{broken} connections were reset or refused")
    for one in told:
        expect(one.answer.endings == ["done"], f"{one.request_id}: {short(one.answer)}")
    for one in told[::100]:
        recorded(ground, one.request_id, "finished")
    ground.idle()
    return f"{MANY} answered in {took_s:.1f} s, none reset"


async def _at_once(ground: Ground, crowd: Sequence[Told]) -> None:
    asking = (
        ask(ground.host, ground.port, _request(one.request_id, QUICK_MODEL), one, _patience(index))
        for index, one in enumerate(crowd)
    )
    await asyncio.gather(*asking)


async def _until_served(ground: Ground, crowd: Sequence[Told]) -> None:
    asking = (
        persist(
            ground.host,
            ground.port,
            _request(one.request_id, QUICK_MODEL),
            one,
            SERVED_WITHIN_S,
            _patience(index),
        )
        for index, one in enumerate(crowd)
    )
    await asyncio.gather(*asking)


def _patience(index: int) -> Patience:
    """Those who abort leave with the first token."""
    return _hasty if index % 10 < ABORTED_OF_TEN else stays


async def _together(ground: Ground, name: str, count: int, model: str) -> list[Told]:
    crowd = [Told(fresh(name)) for _ in range(count)]
    await asyncio.gather(
        *(ask(ground.host, ground.port, _request(one.request_id, model), one) for one in crowd)
    )
    return crowd


def _request(request_id: str, model: str) -> bytes:
    return chat(request_id, model, max_tokens=QUICK_TOKENS)


def _hasty(received: bytearray) -> bool:
    return b"event: delta" in received


def _expect_refusal(one: Told) -> None:
    answer: Answer = one.answer
    expect(
        (answer.status, answer.code) == (503, "overloaded"), f"{one.request_id}: {short(answer)}"
    )
    expect(answer.headers.get("retry-after") == "1", f"{one.request_id}: no Retry-After")


@contextlib.contextmanager
def _room_for(connections: int) -> Iterator[None]:
    """So many descriptors for this process, the client's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * connections), hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


ROWS = (
    Row(
        f"pool of {POOL}, {STREAMS} streams, {ABORTED_OF_TEN}0 % of them aborted",
        "beyond the pool a 503 with Retry-After within 1 s; all served later, no slot leaked",
        pool_of_two,
        QUICK,
        together=True,
    ),
    Row(
        f"descriptor limit of {FEW}, {OVER} streams",
        "each is answered, gets a 503 or no connection; it serves on, the descriptors are back",
        few_descriptors,
        alone=True,
    ),
    Row(
        f"{MANY:,} simultaneous connects",
        "all answered, none reset",
        many_connects,
    ),
)
