"""A provider that writes as fast as it is read, so that only backpressure can stop it."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOSE, MUTE = "hose", "mute"
"""Model names: one gushes, the other never says a word."""

TOKEN_CHARS = 100
SEND_BUFFER = 16 * 1024
ENDLESS = 1_000_000
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_END = b"data: [DONE]\n\n"
_REQUEST_ID = re.compile(rb"\r\nx-request-id: *(\S+)", re.IGNORECASE)


class Jet:
    """One answer: how far it came, and when."""

    def __init__(self) -> None:
        self.written = 0
        self.wrote_ns = self.closed_ns = 0
        self.closed = threading.Event()

    @property
    def silent_s(self) -> float:
        """Seconds from the last token that it got rid of to its end, or until now."""
        return ((self.closed_ns or time.monotonic_ns()) - self.wrote_ns) / 1e9


class Hose:
    """Answers with as many tokens as the request allows, each with a thread of its own."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._jets: dict[str, Jet] = {}

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}/v1"

    def jet(self, request_id: str) -> Jet:
        """The answer to this request, which may be yet to come."""
        return self._jets.setdefault(request_id, Jet())

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                thread.start()
                self._threads.append(thread)

    def stop(self) -> None:
        """Ends what is written, and the waiting for more."""
        for connection in (self._listener, *self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        jet = None
        with suppress(OSError), connection:
            head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
            found = _REQUEST_ID.search(head)
            jet = self.jet(found[1].decode() if found else "")
            asked = json.loads(body or connection.recv(65_536))
            if asked["model"] == MUTE:
                connection.recv(1)
            else:
                _gush(connection, jet, asked.get("max_tokens", ENDLESS))
        if jet is not None:
            jet.closed_ns = time.monotonic_ns()
            jet.closed.set()


def token(index: int) -> str:
    """The text of the token at this place: each differs, so that none can be lost or doubled unseen."""
    return f"{index:<{TOKEN_CHARS}}"


@contextmanager
def hose() -> Iterator[Hose]:
    """Listening on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Inherited by what it accepts: what waits in the kernel is little beside what is written.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        running = Hose(listener)
        thread = threading.Thread(target=running.run)
        thread.start()
        try:
            yield running
        finally:
            running.stop()
            thread.join()


def _gush(connection: socket.socket, jet: Jet, tokens: int) -> None:
    connection.sendall(_HEAD)
    for index in range(tokens):
        connection.sendall(_frame(token(index)))
        jet.written, jet.wrote_ns = index + 1, time.monotonic_ns()
    connection.sendall(_frame("", "stop") + _END)


def _frame(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    value = {"id": HOSE, "object": "chat.completion.chunk", "created": 1, "model": HOSE}
    return f"data: {json.dumps({**value, 'choices': [choice]})}\n\n".encode()
