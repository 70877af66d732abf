"""What one client's connection may cost: bytes that wait for it, and time for its request to arrive."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import Any, cast

from starlette.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.settings import Settings

TRANSPORT = "fastapi_app.transport"
REQUEST_TIMEOUT_S = "request_timeout_s"
MAX_HEAD_BYTES = 64 * 1024
KERNEL_SLACK_S = 5.0


# region: limits
class Connection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with bounds that it lacks: it waits for a request's headers for ever, takes headers
    of any size, and holds 64 KiB for a client who does not read.

    The app finds the transport in the scope's extensions, to look at what waits in it and to cut it off.
    """

    _head: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # With no room above the kernel's, a send waits as soon as the client falls behind.
        transport.set_write_buffer_limits(high=0)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(dict[str, Any], self.scope)["extensions"] = {TRANSPORT: {"transport": self.transport}}
        if self._head is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def _await_head(self) -> None:
        # The setting comes through the lifespan's state: uvicorn's own configuration has no place for it.
        timeout_s = self.app_state.get(REQUEST_TIMEOUT_S)
        if timeout_s is not None:
            self._head_bytes = 0
            self._head = self.loop.call_later(timeout_s, self.transport.abort)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


# region: transport
def transport_of(scope: Scope, receive: Receive) -> asyncio.WriteTransport | None:
    """The client's transport, with no room above the kernel's; None where neither server is known."""
    if found := scope.get("extensions", {}).get(TRANSPORT):
        return cast(asyncio.WriteTransport, found["transport"])
    # gunicorn's asgi worker says nothing of it in the scope; who receives the body knows the connection.
    connection = getattr(getattr(receive, "__self__", None), "protocol", None)
    transport: asyncio.WriteTransport | None = getattr(connection, "transport", None)
    if transport is not None:
        transport.set_write_buffer_limits(high=0)
    return transport


def sever(transport: asyncio.WriteTransport) -> None:
    """Ends a connection with a reset: a close would leave the kernel with what the client does not take."""
    if connection := transport.get_extra_info("socket"):
        with suppress(OSError, ValueError):  # it is closed
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


# region: kernel
def untaken(transport: asyncio.WriteTransport) -> int:
    """Bytes that the client's side has not acknowledged yet: in this process, and in the kernel (tcp(7))."""
    held = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is None or sys.platform != "linux":
        return held
    with suppress(OSError, ValueError):  # it is closed, and its descriptor -1
        (in_kernel,) = struct.unpack(
            "i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
        )
        held += in_kernel
    return held


def bound(listener: socket.socket, settings: Settings) -> None:
    """Bounds what the kernel does for the clients of a listener; the sockets that it accepts inherit it.

    Linux gives a connection up when nothing was acknowledged, or no window opened, for TCP_USER_TIMEOUT
    (RFC 5482; tcp(7)): that is how a peer that vanished without a word is found.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        most_ms = int((settings.send_timeout_s + KERNEL_SLACK_S) * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, most_ms)
