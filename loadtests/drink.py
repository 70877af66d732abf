"""Readers that cost next to nothing: they take the bytes of many streams and look at none of them."""

import asyncio
from typing import cast

LAST_CHUNK = b"0\r\n\r\n"


def request(method: str, target: str, body: bytes = b"") -> bytes:
    """One HTTP/1.1 request, as bytes; the server closes the connection at the answer's end."""
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class _Drinker(asyncio.Protocol):
    def __init__(self, asked: bytes) -> None:
        self._asked = asked
        self._last = b""
        self.whole = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class that asyncio knows.
        cast(asyncio.WriteTransport, transport).write(self._asked)

    def data_received(self, data: bytes) -> None:
        self._last = data

    def connection_lost(self, error: Exception | None) -> None:
        self.whole.set_result(error is None and self._last.endswith(LAST_CHUNK))


async def drink(port: int, asked: bytes, count: int, patience_s: float) -> int:
    """Reads `count` streams at once, from start to end; returns how many of them came whole."""
    loop = asyncio.get_running_loop()
    drinkers = []
    for _ in range(count):
        _, drinker = await loop.create_connection(lambda: _Drinker(asked), "127.0.0.1", port)
        drinkers.append(drinker)
    async with asyncio.timeout(patience_s):
        return sum([await drinker.whole for drinker in drinkers])
