"""Many clients at once, each on a connection of its own."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.provoking.peers import READ_BYTES, Answer, is_whole, reset_on_close


@dataclass(slots=True)
class Told:
    """What a client was told; `broken` when its connection failed, `left` when it went by itself."""

    request_id: str
    answer: Answer = field(default_factory=Answer)
    took_s: float = 0.0
    attempts: int = 1
    broken: bool = False
    left: bool = False


Patience = Callable[[bytearray], bool]
"""Whether a client leaves, now that it has received these bytes."""


def stays(received: bytearray) -> bool:
    """The patience of one who never leaves."""
    return False


async def ask(host: str, port: int, request: bytes, told: Told, leaves: Patience = stays) -> None:
    """One request on a connection of its own, to the end of its answer or of the client's patience."""
    received = bytearray()
    began = time.monotonic()
    told.broken = False
    try:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(request)
            while not told.left and not is_whole(received):
                part = await reader.read(READ_BYTES)
                if not part:
                    break
                received += part
                told.left = leaves(received) and not is_whole(received)
        finally:
            # A RST, so that the connections of a crowd do not fill the ports with TIME_WAIT.
            reset_on_close(writer.get_extra_info("socket"))
            writer.transport.abort()
    except OSError:
        told.broken = True
    told.answer = Answer.read(bytes(received))
    told.took_s = time.monotonic() - began


async def persist(
    host: str, port: int, request: bytes, told: Told, within_s: float, leaves: Patience = stays
) -> None:
    """Asks, and after a 503 again when its Retry-After allows, for at most `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while True:
        await ask(host, port, request, told, leaves)
        wait_s = int(told.answer.headers.get("retry-after", 1)) + random.random()
        if told.answer.status != 503 or time.monotonic() + wait_s > deadline:
            return
        await asyncio.sleep(wait_s)
        told.attempts += 1
