"""Clients that misbehave: a plain socket each, so that what it sends, takes, and how it leaves is exact."""

import ctypes
import json
import re
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from types import TracebackType
from typing import Self, cast

from loadtests.sse_reader import ServerEvent, SseReader

WAIT_S = 30.0
READ_BYTES = 65_536
PROMPT = "Say something."

# linux/filter.h and asm-generic/socket.h, which Python's socket module does not name: the program is the one
# instruction BPF_RET | BPF_K with k = 0, "keep nothing of what arrived".
SO_ATTACH_FILTER = 26
KEEP_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def chat(
    request_id: str,
    model: str,
    *,
    stream: bool = True,
    prompt: str = PROMPT,
    max_tokens: int | None = None,
) -> bytes:
    """A whole `POST /chat`."""
    value: dict[str, object] = {"prompt": prompt, "model": model, "stream": stream}
    if max_tokens is not None:
        value["max_tokens"] = max_tokens
    body = json.dumps(value).encode()
    return post(len(body), request_id) + body


def post(length: int, request_id: str) -> bytes:
    """The head of a `POST /chat` that announces a JSON body of so many bytes."""
    lines = (
        "POST /chat HTTP/1.1",
        "Host: faults",
        "Content-Type: application/json",
        f"X-Request-ID: {request_id}",
        f"Content-Length: {length}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: faults\r\nConnection: close\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What has come of a response so far; the status is 0 before its head, `whole` when nothing is missing."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    @classmethod
    def read(cls, received: bytes) -> Self:
        """Reads the bytes of an HTTP/1.1 response, be they all of it or not."""
        if b"\r\n\r\n" not in received:
            return cls()
        response = HTTPResponse(cast(socket.socket, _Received(received)))
        body = bytearray()
        try:
            response.begin()
        except HTTPException:
            return cls()
        with suppress(HTTPException):
            while part := response.read1(READ_BYTES):
                body += part
        headers = {name.lower(): value for name, value in response.headers.items()}
        return cls(response.status, headers, bytes(body), is_whole(received))

    @property
    def events(self) -> list[ServerEvent]:
        return SseReader().feed(self.body, 0)

    @property
    def text(self) -> str:
        """The joined text of the deltas."""
        deltas = (json.loads(event.data) for event in self.events if event.name == "delta")
        return "".join(delta["text"] for delta in deltas)

    @property
    def endings(self) -> list[str]:
        """The terminal events: `done`, or `failure` and its code."""
        return [
            "done" if event.name == "done" else f"failure {json.loads(event.data)['code']}"
            for event in self.events
            if event.name != "delta"
        ]

    @property
    def code(self) -> str:
        """The code in an error body; empty when it is none."""
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(self.body)["error"]["code"])
        return ""


def reset_on_close(connection: socket.socket) -> None:
    """Its close is to be a RST and not a FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Peer:
    """One connection; everything that it receives is kept. It leaves with a FIN unless it is told otherwise."""

    def __init__(
        self, host: str, port: int, *, receive_buffer: int = 0, wait_s: float = WAIT_S
    ) -> None:
        self.received = bytearray()
        self.ended = False
        self._wait_s = wait_s
        self.socket = socket.socket()
        if receive_buffer:
            # Before the connection: the window is announced with the handshake.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(wait_s)
        self.socket.connect((host, port))
        self.port: int = self.socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    @property
    def answer(self) -> Answer:
        return Answer.read(bytes(self.received))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def trickle(self, data: bytes, pause_s: float) -> bool:
        """Sends byte by byte for as long as the server listens and says nothing; true when it sent them all."""
        for value in data:
            self.socket.settimeout(pause_s)
            try:
                self.socket.sendall(bytes((value,)))
                self._take(1)
            except TimeoutError:
                continue
            except OSError:
                self.ended = True
            return False
        return True

    def take(self, most: int = READ_BYTES) -> bool:
        """Waits for some bytes; false at the end, which may be a reset. Raises TimeoutError."""
        self.socket.settimeout(self._wait_s)
        try:
            self._take(most)
        except TimeoutError:
            raise
        except OSError:
            self.ended = True
        return not self.ended

    def until(self, mark: bytes) -> Answer:
        """Takes until the mark has come, or to the end."""
        while mark not in self.received and self.take():
            pass
        return self.answer

    def rest(self) -> Answer:
        """Takes until the response is whole, or to the end."""
        while not is_whole(self.received) and self.take():
            pass
        return self.answer

    def reset(self) -> None:
        """Leaves with a RST."""
        reset_on_close(self.socket)
        self.socket.close()

    def close(self) -> None:
        """Leaves with a FIN; it takes what is there first, since the kernel would send a RST in its place."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while not self.ended:
                self._take(READ_BYTES)
        self.socket.close()

    def finish_sending(self) -> None:
        """Sends the FIN and goes on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """From now on the kernel throws away whatever arrives, and acknowledges nothing: no FIN, no RST.

        To the server it is a host that lost its power, or its network. Linux only; needs no privilege.
        """
        program = ctypes.create_string_buffer(KEEP_NOTHING)
        option = struct.pack("HL", 1, ctypes.addressof(program))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)

    def _take(self, most: int) -> None:
        data = self.socket.recv(most)
        self.received += data
        self.ended = not data


def is_whole(received: bytes | bytearray) -> bool:
    """Whether these bytes are a whole HTTP/1.1 response that tells its length or is chunked."""
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    if length := _LENGTH.search(head):
        return len(body) >= int(length[1])
    return body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"


class _Received:
    """Received bytes where http.client expects the socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._data)
