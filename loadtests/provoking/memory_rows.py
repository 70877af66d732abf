"""Many aborted streams, and the memory that is left behind."""

import asyncio
import time

from loadtests.provoking.crowd import Told, ask
from loadtests.provoking.evidence import expect
from loadtests.provoking.ground import MEMORY, Ground, Record, Row
from loadtests.provoking.peers import chat
from loadtests.provoking.upstream import PAUSE_S, Broken

ABORTED = 2000
WARM_UP = 1000
AT_ONCE = 50
WARM_AT_ONCE = 100
"""More than later, so that what is measured is not the peak of another chance meeting of streams."""

ROUNDS = 2
"""A heap that has not found its size yet stops growing in the second; a leak grows as much again."""

ITS_OWN = {"CHAT_HEARTBEAT_S": "14"}
"""A stack that no other row shares, whose deadlines are the default ones."""

MOST_GROWTH = 0.05
RECORDED_WITHIN_S = 10.0


def aborted_streams(ground: Ground) -> str:
    asyncio.run(_abort(ground, "aborted-first", WARM_UP, WARM_AT_ONCE))
    ground.idle(10)
    for number in range(ROUNDS):
        name = f"aborted-{number}"
        before = ground.metrics()[MEMORY]
        asyncio.run(_abort(ground, name, ABORTED, AT_ONCE))
        ground.idle(10)
        growth = ground.metrics()[MEMORY] / before - 1
        outcomes = {record["outcome"] for record in _records(ground, f"{name}-", ABORTED)}
        expect(outcomes == {"cancelled"}, f"recorded as {sorted(outcomes)}")
        if growth < MOST_GROWTH:
            return f"memory {growth:+.1%} of {before / 2**20:.0f} MiB in round {number + 1}"
    raise Broken(f"resident memory grew by {growth:.1%}, in round {ROUNDS} still")


async def _abort(ground: Ground, name: str, count: int, at_once: int) -> None:
    """Each leaves with a RST once it has its first token, while the provider still writes."""
    waiting = iter(range(count))

    async def one_after_another() -> None:
        for number in waiting:
            told = Told(f"{name}-{number}")
            request = chat(told.request_id, "sim:production")
            await ask(ground.host, ground.port, request, told, _has_token)
            expect(told.left, f"{told.request_id} got {told.answer.status} and an end")

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))


def _has_token(received: bytearray) -> bool:
    return b"event: delta" in received


def _records(ground: Ground, prefix: str, count: int) -> list[Record]:
    deadline = time.monotonic() + RECORDED_WITHIN_S
    while True:
        found = [each for name, each in ground.records().items() if name.startswith(prefix)]
        if len(found) == count and all(len(each) == 1 for each in found):
            return [each[0] for each in found]
        if time.monotonic() > deadline:
            raise Broken(f"{sum(map(len, found))} records of {count} aborted streams")
        time.sleep(PAUSE_S)


ROWS = (
    Row(
        f"{ABORTED:,} aborted streams",
        f"memory grows by less than {MOST_GROWTH:.0%} after a warm-up; each recorded once, cancelled",
        aborted_streams,
        always=ITS_OWN,
    ),
)
