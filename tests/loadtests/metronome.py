"""A small server of our own wire format that keeps an exact schedule: the yardstick of the load side."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

FIRST_MS = 60.0
GAP_MS = 8.0
PIECES = ("Tick ", "tock, ", "Größe ", "时间 ", "🕰 ", "end")
TOTAL_MS = FIRST_MS + GAP_MS * (len(PIECES) - 1)
FACTS = {"id": "m-1", "model": "metronome", "finish_reason": "stop", "usage": None}
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


@dataclass
class Metronome:
    """The running server: what it was asked, and over how many connections."""

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection, one after the other."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                came = time.monotonic()
                lines = head.decode().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
                await reader.readexactly(int(headers.get("content-length", "0")))
                self.asked[headers["x-request-id"]] += 1
                streams = headers.get("accept") == "text/event-stream"
                await (_stream if streams else _batch)(writer, came)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def _stream(writer: asyncio.StreamWriter, came: float) -> None:
    writer.write(EVENTS)
    for number, piece in enumerate(PIECES):
        await _until(came + (FIRST_MS + GAP_MS * number) / 1000)
        writer.write(_chunk("delta", {"text": piece}))
    writer.write(_chunk("done", FACTS) + END)


async def _batch(writer: asyncio.StreamWriter, came: float) -> None:
    await _until(came + TOTAL_MS / 1000)
    body = json.dumps({**FACTS, "text": "".join(PIECES)}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"\r\n" + body)


def _chunk(name: str, data: object) -> bytes:
    frame = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(frame), frame)


async def _until(due: float) -> None:
    await asyncio.sleep(due - time.monotonic())


@contextmanager
def metronome() -> Iterator[Metronome]:
    """The server, in a thread of its own, on a free port."""
    made, loop = Metronome(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(
        asyncio.start_server(made.serve, "127.0.0.1", 0), loop
    ).result(10)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
