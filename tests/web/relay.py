"""A TCP relay between clients and servers: it cuts everybody off at once, refuses, or changes the server."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

READ_BYTES = 64 * 1024
WAIT_S = 10.0
BACKLOG = 4096
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: a close is a RST


class Relay:
    """Passes bytes on, whatever they mean; its methods may be called from any thread.

    `target` is the port on 127.0.0.1 that the next connection goes to. `arrived` counts the connections that
    clients made, those that were refused not among them.
    """

    def __init__(self, listener: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        self.host, self.port = listener.getsockname()[:2]
        self.target = 0
        self.arrived = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def cut(self) -> int:
        """Resets every connection, on both sides; how many there were."""
        return self._call(self._cut())

    def refuse(self, refusing: bool = True) -> None:
        """From now on a new connection is reset before it has said anything; with False, no more."""
        self._refusing = refusing

    def _call(self, work: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    async def _cut(self) -> int:
        pairs = list(self._pairs)
        for writer in (writer for pair in pairs for writer in pair):
            _reset(writer)
        return len(pairs)

    async def serve(self) -> None:
        server = await asyncio.start_server(
            self._accept, sock=self._listener, limit=READ_BYTES, backlog=BACKLOG
        )
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            await self._cut()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _reset(writer)
            return
        self.arrived += 1
        task = self._loop.create_task(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _reset(writer)
            return
        pair = (writer, far_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
        finally:
            self._pairs.discard(pair)
            for one in pair:
                one.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, its end included; a reset is passed on as a reset."""
    try:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@contextmanager
def relaying(host: str = "127.0.0.1", target: int = 0) -> Iterator[Relay]:
    """A relay on a free port of this host's address, in a thread of its own."""
    listener = socket.create_server((host, 0), backlog=BACKLOG)
    loop = asyncio.new_event_loop()
    relay = Relay(listener, loop)
    relay.target = target
    task = loop.create_task(relay.serve())
    thread = threading.Thread(target=_run, args=(loop, task), name="relay")
    thread.start()
    try:
        yield relay
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.run_until_complete(_ended(asyncio.all_tasks(loop)))
    loop.close()


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
