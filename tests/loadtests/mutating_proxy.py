"""A proxy that changes what comes back: a stack with a defect, made from one that has none."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass(frozen=True)
class Answer:
    """The parts of a reply that parity looks at."""

    status: int
    media_type: str
    body: bytes


Mutation = Callable[[Answer], Answer]


@contextmanager
def mutated(url: str, mutation: Mutation) -> Iterator[str]:
    """The address of a proxy in front of `url` whose answers have gone through the mutation."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = mutation(_ask(url, self.command, self.path, dict(self.headers), body))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = relay  # noqa: N815  # names of the standard library

        def log_message(self, *arguments: object) -> None:
            """Nothing: the test says what came of it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _ask(url: str, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers.get("Content-Type", ""), response.read())
    finally:
        connection.close()
