"""A byte relay in front of an app that keeps what the app said: the evidence of what left it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import cast

import httptools

MOST_BYTES = 256 * 2**20
BACKLOG = 4096
OnData = Callable[[bytes], None]


class TapOverflow(Exception):
    """More came than a tap keeps: what it has is not the whole."""


class _End(asyncio.Protocol):
    """One of two connections: what it brings goes to the `other`, and no faster than that takes it."""

    transport: asyncio.Transport

    def __init__(
        self, transports: set[asyncio.Transport], record: OnData, other: "_End | None" = None
    ) -> None:
        self.other = other
        self.gone = False
        self._transports = transports
        self._record = record
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class that asyncio knows.
        self.transport = cast(asyncio.Transport, transport)
        nodelay = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport.get_extra_info("socket").setsockopt(*nodelay)
        self._transports.add(self.transport)

    def data_received(self, data: bytes) -> None:
        self._record(data)
        self._peer.transport.write(data)

    def eof_received(self) -> bool:
        """Ends the other's half of the conversation; both are closed when each has ended its own."""
        self._ended = True
        peer = self._peer
        if peer.gone or peer._ended:
            peer.transport.close()
            return False
        peer.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if not self._peer.gone:
            self._peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self._peer.gone:
            self._peer.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        self._transports.discard(self.transport)
        if self.other is None or self.other.gone:
            return
        if error is None:
            self.other.transport.close()
        else:
            self.other.transport.abort()

    @property
    def _peer(self) -> "_End":
        assert self.other is not None  # nothing is passed on before there is one
        return self.other


class _Client(_End):
    """A client's end; what comes before the app's end is there waits for it."""

    def __init__(
        self, transports: set[asyncio.Transport], made: Callable[["_Client"], None]
    ) -> None:
        super().__init__(transports, lambda _: None)
        self._made = made
        self._early: list[bytes] = []
        self._early_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._made(self)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        self._early.append(data)
        self.transport.pause_reading()  # uvloop does not heed it in connection_made

    def eof_received(self) -> bool:
        if self.other is not None:
            return super().eof_received()
        self._early_end = True
        return True

    def meet(self, app: _End) -> None:
        """The app's end is there."""
        self.other = app
        for data in self._early:
            super().data_received(data)
        if self._early_end:
            super().eof_received()
        else:
            self.transport.resume_reading()


class _Responses:
    """The responses of one connection; httptools calls the methods named on_*."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytearray] = {}
        self._parts = bytearray()

    def on_message_begin(self) -> None:
        self._parts = bytearray()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-request-id":
            self.bodies[value.decode("latin-1")] = self._parts

    def on_body(self, body: bytes) -> None:
        self._parts += body


def responses(recording: Iterable[bytes]) -> dict[str, bytes]:
    """The bodies by X-Request-ID of the HTTP/1.1 responses on one connection, however their bytes were cut."""
    found = _Responses()
    parser = httptools.HttpResponseParser(found)
    for data in recording:
        parser.feed_data(data)
    return {request_id: bytes(body) for request_id, body in found.bodies.items()}


class Tap:
    """Listens on `port`; keeps at most `most_bytes` of all responses."""

    def __init__(self, upstream_port: int, most_bytes: int) -> None:
        self.port = 0
        self._upstream_port = upstream_port
        self._most_bytes = most_bytes
        self._kept_bytes = 0
        self._recordings: list[list[bytes]] = []
        self._transports: set[asyncio.Transport] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    def bodies(self) -> dict[str, bytes]:
        """What the app has sent so far by X-Request-ID, broken-off answers too; the last of one id counts.

        Raises TapOverflow, and httptools.HttpParserError for what is no HTTP/1.1, such as what comes behind the
        response to a HEAD, which cannot be told from another.
        """
        if self._kept_bytes > self._most_bytes:
            raise TapOverflow(
                f"the app sent more than the {self._most_bytes:,} bytes that are kept"
            )
        found: dict[str, bytes] = {}
        for recording in self._recordings:
            found.update(responses(recording))
        return found

    def accepted(self) -> asyncio.Protocol:
        """The protocol of a connection that was made to the tap."""
        return _Client(self._transports, self._connect)

    async def stop(self) -> None:
        """Breaks off every connection."""
        for task in self._connecting:
            task.cancel()
        for transport in tuple(self._transports):
            transport.abort()
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _connect(self, client: _Client) -> None:
        task = asyncio.create_task(self._join(client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _join(self, client: _Client) -> None:
        """Pairs a client with a connection to the app; an app that takes none looks like one that closes it."""
        app = _End(self._transports, self._recorder(), client)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: app, "127.0.0.1", self._upstream_port)
        except OSError:
            client.transport.close()
            return
        if client.gone:
            app.transport.abort()
        elif not app.gone:
            client.meet(app)

    def _recorder(self) -> OnData:
        recording: list[bytes] = []
        self._recordings.append(recording)

        def record(data: bytes) -> None:
            self._kept_bytes += len(data)
            if self._kept_bytes <= self._most_bytes:
                recording.append(data)

        return record


@contextlib.asynccontextmanager
async def tapped(
    upstream_port: int, *, port: int = 0, most_bytes: int = MOST_BYTES
) -> AsyncIterator[Tap]:
    """A tap in front of an app on this host, listening on a free port unless one is given."""
    tap = Tap(upstream_port, most_bytes)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(tap.accepted, "127.0.0.1", port, backlog=BACKLOG)
    tap.port = server.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        server.close()
        await tap.stop()
