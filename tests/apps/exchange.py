"""One HTTP exchange over a real socket, with nothing smoothed over on the way."""

import http.client
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 20.0
JSON = {"Content-Type": "application/json"}
Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Json:
        value: Json = json.loads(self.body)
        return value

    @property
    def code(self) -> str:
        """The code of the one error body."""
        return str(self.json()["error"]["code"])

    @property
    def request_id(self) -> str:
        return self.headers["X-Request-ID"]

    def but_for_the_id(self) -> Json:
        """The error body without its request id, for comparing the two stacks."""
        error = self.json()["error"]
        error.pop("request_id")
        return {"error": error}


def send(
    url: str,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The answer to one request; a body that is not bytes goes out chunked."""
    with opened(url, method, path, body, headers) as response:
        return Answer(response.status, response.headers, response.read())


def post(url: str, request: Json, headers: Mapping[str, str] | None = None) -> Answer:
    """POST /chat with this JSON."""
    return send(url, "POST", "/chat", json.dumps(request).encode(), {**JSON, **(headers or {})})


@contextmanager
def opened(
    url: str,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """A response whose body is still to be read; leaving closes the connection."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT_S)
    try:
        # A server may refuse a body before it has read all of it; its answer counts all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, dict(headers or {}))
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


@contextmanager
def asked(url: str, request: Json, headers: Mapping[str, str] | None = None) -> Iterator[None]:
    """POST /chat sent and its answer never read: leaving the context is the client that goes away."""
    body = json.dumps(request).encode()
    host, _, port = url.removeprefix("http://").partition(":")
    fields = {**JSON, "Host": host, "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
        connection.sendall(f"POST /chat HTTP/1.1\r\n{head}\r\n".encode() + body)
        yield


def frames(body: bytes) -> list[tuple[str, Json]]:
    """The events of a stream that is whole, as (name, data); comments are left out."""
    assert body.endswith(b"\n\n")
    blocks = [block for block in body.decode().split("\n\n") if block and block[0] != ":"]
    fields = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(field["event"], json.loads(field["data"])) for field in fields]
