"""A stack that says which one it is, and keeps what came to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HELD = "/chat/held"
"""Where a first chunk comes at once, and the rest when the listener is let go on."""

FIRST, REST = b"first", b"rest"
WAIT_S = 20.0


@dataclass(frozen=True)
class Seen:
    """One request as it came: who connected, what was asked for, and the headers."""

    peer: tuple[str, int]
    target: str
    headers: Message


@dataclass
class Listener:
    """A running one; `seen` is what came, oldest first."""

    name: str
    url: str
    seen: list[Seen] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    def last(self) -> Seen:
        return self.seen[-1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave in one piece, or the second one waits for an acknowledgement.
    wbufsize = -1
    server: "_Server"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.listener.seen.append(Seen(self.client_address, self.path, self.headers))
        self.send_response(200)
        if self.path.startswith(HELD):
            self._held()
            return
        body = json.dumps({"stack": self.server.listener.name}).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _held(self) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(FIRST)
        self.server.listener.go_on.wait(WAIT_S)
        self._chunk(REST)
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.listener = Listener(name, f"http://127.0.0.1:{self.server_address[1]}")

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: that nginx hangs up is for the client to judge."""


@contextmanager
def listening(name: str) -> Iterator[Listener]:
    """A listener on a free port, up as long as the `with` lasts."""
    server = _Server(name)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.listener
    finally:
        server.listener.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
