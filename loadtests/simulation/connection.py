"""An HTTP/1.1 server connection: requests in, bytes out; the answer hears when its reader slows or leaves."""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast
from urllib.parse import parse_qs, urlsplit

import httptools

from loadtests.simulation import wire

MAX_BODY = 16 * 1024 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    received_ns: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> Mapping[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)


class Answer(Protocol):
    """What is being answered on a connection."""

    def resumed(self) -> None:
        """The reader has caught up."""

    def disconnected(self, now: int) -> None:
        """The reader has left."""


class Connection(asyncio.Protocol):
    """Requests are answered one after the other; `open` is the set in which the connection keeps itself."""

    def __init__(
        self, handle: Callable[[Request, "Connection"], None], open_connections: "set[Connection]"
    ) -> None:
        self.paused = False
        self.answer: Answer | None = None
        self._handle = handle
        self._open = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[tuple[Request, bool]] = deque()
        self._busy = self._keep_alive = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.write = self._transport.write
        # With a high-water mark of 0 a write goes to the kernel at once, and pausing starts when that is full.
        self._transport.set_write_buffer_limits(high=0)
        self._socket = self._transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400, "The request is not HTTP/1.1.")

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self.answer:
            self.answer.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._requests.clear()
        del (
            self._parser
        )  # the two refer to each other, and cycles are work for the garbage collector
        answer, self.answer = self.answer, None
        if answer:
            answer.disconnected(time.monotonic_ns())

    # httptools callbacks

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > MAX_BODY:
            self._refuse(413, "The request body is larger than 16 MiB.")

    def on_message_complete(self) -> None:
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            target=self._target.decode("latin-1"),
            headers=self._headers,
            body=bytes(self._body),
            received_ns=time.monotonic_ns(),
        )
        self._requests.append((request, self._parser.should_keep_alive()))
        self._next()

    # for the answer

    @property
    def closing(self) -> bool:
        return self._transport.is_closing()

    def finished(self) -> None:
        """The response is complete: the next request may be answered."""
        self.answer, self._busy = None, False
        if self._keep_alive:
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self._transport.close()

    def reset(self) -> None:
        """Ends the connection with a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def respond(
        self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """A whole response."""
        fields = {"Content-Type": content_type, **(headers or {})}
        self.write(wire.head(status, fields, len(body)) + body)
        self.finished()

    def respond_slices(self, slices: Iterator[bytes], content_type: str) -> None:
        """A whole response in chunks that are made while the reader takes them."""
        self.write(wire.head(200, {"Content-Type": content_type}, None))
        self.answer = _Slices(slices, self)
        self.answer.resumed()

    def close(self) -> None:
        self._transport.close()

    def _next(self) -> None:
        if self._requests and not self._busy and not self.closing:
            request, self._keep_alive = self._requests.popleft()
            self._busy = True
            self._handle(request, self)

    def _refuse(self, status: int, message: str) -> None:
        if not self.closing:
            body = wire.encode(wire.failure(message, "invalid_request_error"))
            headers = {"Content-Type": "application/json", "Connection": "close"}
            self.write(wire.head(status, headers, len(body)) + body)
            self.close()


class _Slices:
    """A response in chunks: one a turn of the event loop, none while the reader is behind."""

    def __init__(self, slices: Iterator[bytes], connection: Connection) -> None:
        self._slices = slices
        self._connection = connection
        self._scheduled: asyncio.Handle | None = None

    def resumed(self) -> None:
        self._scheduled = asyncio.get_running_loop().call_soon(self._turn)

    def disconnected(self, now: int) -> None:
        if self._scheduled:
            self._scheduled.cancel()

    def _turn(self) -> None:
        payload = next(self._slices, b"")
        self._connection.write(wire.chunk(payload) if payload else wire.END_OF_BODY)
        if not payload:
            self._connection.finished()
        elif not self._connection.paused:
            self.resumed()
