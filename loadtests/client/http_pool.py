"""Kept-alive connections for many greenlets, and responses that are read one socket read at a time.

The client of geventhttpclient stands between a request and its dispatch with a resolver thread, a select() that
knows no descriptor above 1,024, and retries that would send a request twice; its parser is used as it is.
"""

import socket
import time
from typing import Any
from urllib.parse import urlsplit

from geventhttpclient.response import HTTPConnectionClosed, HTTPSocketPoolResponse

from loadtests.client import greenlets
from loadtests.client.greenlets import Address, Socket
from loadtests.targets import Request

BLOCK_SIZE = 64 * 1024
IDLE_S = 1.0
"""Servers drop idle connections after 2 s (gunicorn) and 5 s (uvicorn); a drop on the way would be an error."""


class StreamedResponse(HTTPSocketPoolResponse):
    """A response whose body is taken as it comes."""

    def read_available(self) -> bytes:
        """What one socket read brought, without waiting for more; empty at the end of the body."""
        buffer = self._body_buffer
        while not buffer and not self.message_complete:
            if self._sock is None:
                raise HTTPConnectionClosed("the connection was closed in the middle of an answer")
            data = self._sock.recv(BLOCK_SIZE)
            self.feed(data)
            if not data and not self.message_complete:
                raise HTTPConnectionClosed("the connection was closed in the middle of an answer")
        chunk = bytes(buffer)
        buffer.clear()
        return chunk


class HttpPool:
    """The connections to one host; as many as there are requests at a time, the last used first."""

    def __init__(self, url: str, connect_timeout_s: float = 10.0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host = parts.hostname
        self._tls = greenlets.tls_for(self._host) if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._addresses: list[Address] = []
        self._prefix = parts.path.rstrip("/")
        self._host_header = parts.netloc.rpartition("@")[2]
        self._connect_timeout_s = connect_timeout_s
        self._idle: list[tuple[Socket, float]] = []
        self.opened = 0

    def wire(self, request: Request) -> bytes:
        """A request as bytes, ready before its time comes."""
        head = [
            f"{request.method} {self._prefix}{request.target} HTTP/1.1",
            f"Host: {self._host_header}",
            *(f"{name}: {value}" for name, value in request.headers.items()),
        ]
        if request.body or request.method != "GET":
            head.append(f"Content-Length: {len(request.body)}")
        return "\r\n".join([*head, "", ""]).encode("ascii") + request.body

    def send(self, method: str, wire: bytes) -> StreamedResponse:
        """Sends once, and returns when the head of the answer is there; raises OSError or HTTPParseError."""
        sock = self.get_socket()
        try:
            sock.sendall(wire)
        except BaseException:
            sock.close()
            raise
        pool: Any = self  # the response calls two of its methods, and asks for no other
        return StreamedResponse(sock, pool, block_size=BLOCK_SIZE, method=method)

    def get_socket(self) -> Socket:
        """A connection that is idle and still open, or a new one."""
        fresh = time.monotonic() - IDLE_S
        while self._idle:
            sock, since = self._idle.pop()
            if since > fresh and not greenlets.readable(sock):
                return sock
            sock.close()
        return self._connect()

    def return_socket(self, sock: Socket) -> None:
        """Takes back a connection whose answer was read to its end."""
        self._idle.append((sock, time.monotonic()))

    def release_socket(self, sock: Socket) -> None:
        """Closes a connection that is of no more use."""
        sock.close()

    def _connect(self) -> Socket:
        if not self._addresses:
            self._addresses = greenlets.addresses(self._host, self._port)
        for place, address in enumerate(self._addresses):
            try:
                sock = self._connected(*address)
            except OSError:
                if place + 1 == len(self._addresses):
                    raise
            else:
                # `localhost` may be two addresses, of which one answers: it is tried first from now on.
                self._addresses.insert(0, self._addresses.pop(place))
                break
        self.opened += 1
        return sock

    def _connected(self, family: int, kind: int, protocol: int, address: Any) -> Socket:
        sock = greenlets.new_socket(family, kind, protocol)
        try:
            sock.settimeout(self._connect_timeout_s)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                sock = self._tls(sock)
            # One timer a request is enough; one a read would cost as much as the read.
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise
        return sock
