"""A proxy that relays bytes as they come; with a defect it makes a wrong stack from a right one.

It takes one exchange a connection, as parity asks.
"""

import contextlib
import http.client
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from loadtests.equality.exchange import READ_BYTES, TIMEOUT_S, Address

END_OF_HEAD = b"\r\n\r\n"
SET_ANEW = frozenset({"content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a response, but for its framing."""

    status: int
    headers: tuple[tuple[str, str], ...]

    @property
    def content_type(self) -> str:
        return next((v for n, v in self.headers if n.lower() == "content-type"), "")


class Defect(Protocol):
    """What is wrong with a proxy; one for each exchange."""

    def request(self, data: bytes) -> bytes:
        """The first bytes of a request, its head among them, as they go on to the stack."""

    def head(self, head: Head) -> Head:
        """The head of the response as it goes to the client."""

    def body(self, piece: bytes, head: Head) -> bytes:
        """A piece of the body as it goes to the client: one chunk, or all of a body that does not stream."""

    def rest(self) -> bytes:
        """What was kept back, at the end of the body."""


class Faithful:
    """No defect at all."""

    def request(self, data: bytes) -> bytes:
        return data

    def head(self, head: Head) -> Head:
        return head

    def body(self, piece: bytes, head: Head) -> bytes:
        return piece

    def rest(self) -> bytes:
        return b""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, url: str, defect: type[Defect]) -> None:
        self.address, self.defect = Address.of(url), defect
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that leaves, or a stack that is gone, is for the client to judge."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        defect = self.server.defect()
        self.request.settimeout(TIMEOUT_S)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        first = self._first()
        with self.server.address.connected() as stack:
            with contextlib.suppress(OSError):
                stack.sendall(defect.request(first))
            threading.Thread(target=self._forward, args=(stack,), daemon=True).start()
            method = first.lstrip().partition(b" ")[0].decode("latin-1")
            _answer(stack, self.request, defect, method)

    def _first(self) -> bytes:
        data = b""
        while END_OF_HEAD not in data and b"\n\n" not in data:
            more = self.request.recv(READ_BYTES)
            if not more:
                break
            data += more
        return data

    def _forward(self, stack: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(READ_BYTES):
                stack.sendall(data)


@contextlib.contextmanager
def relayed(url: str, defect: type[Defect] = Faithful) -> Iterator[str]:
    """The address of a proxy before `url`, up as long as the `with` lasts."""
    server = _Server(url, defect)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(stack: socket.socket, client: socket.socket, defect: Defect, method: str) -> None:
    with http.client.HTTPResponse(stack, method=method) as response:
        response.begin()
        chunked, known = bool(response.chunked), response.length is not None
        headers = tuple((n, v) for n, v in response.headers.items() if n.lower() not in SET_ANEW)
        head = defect.head(Head(response.status, headers))
        if known:
            _whole(response, client, defect, head, method)
            return
        framing = (("Transfer-Encoding", "chunked"),) if chunked else ()
        client.sendall(_head(replace(head, headers=(*head.headers, *framing))))
        while piece := response.read1(READ_BYTES):
            client.sendall(_framed(defect.body(piece, head), chunked))
        client.sendall(_framed(defect.rest(), chunked) + (b"0\r\n\r\n" if chunked else b""))


def _whole(
    response: http.client.HTTPResponse,
    client: socket.socket,
    defect: Defect,
    head: Head,
    method: str,
) -> None:
    body = response.read()
    changed = defect.body(body, head) + defect.rest() if body else b""
    length = response.headers.get("Content-Length", "0") if method == "HEAD" else str(len(changed))
    client.sendall(_head(replace(head, headers=(*head.headers, ("Content-Length", length)))))
    client.sendall(changed)


def _head(head: Head) -> bytes:
    reason = http.client.responses.get(head.status, "")
    lines = [f"HTTP/1.1 {head.status} {reason}", *(f"{n}: {v}" for n, v in head.headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _framed(piece: bytes, chunked: bool) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if chunked and piece else piece
