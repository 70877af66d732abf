"""Raw HTTP/1.1 with the simulator: requests as bytes, and what their answers say."""

import json
import socket
from typing import Any

TIMEOUT_S = 15.0


def chat(request_id: str, prompt: str = "hello", model: str = "sim", **fields: Any) -> bytes:
    """A chat-completions request."""
    messages = [{"role": "user", "content": prompt}]
    payload = json.dumps({"model": model, "messages": messages, **fields}).encode()
    return body(request_id, payload)


def body(request_id: str, payload: bytes) -> bytes:
    """A chat-completions request with this body."""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: simulator\r\n"
        f"X-Request-ID: {request_id}\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def ask(port: int, *requests: bytes, replies: int = 1) -> bytes:
    """Sends the requests at once and reads until that many replies are complete, or the connection ends."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"".join(requests))
        while _complete(received) < replies:
            part = connection.recv(65536)
            if not part:
                break
            received += part
    return received


def events(reply: bytes) -> list[bytes]:
    """The `data:` of each event of a streamed reply."""
    return [line[6:] for line in reply.splitlines() if line.startswith(b"data: ")]


def content(reply: bytes) -> tuple[str, str]:
    """Text and finish reason of a whole or a streamed reply."""
    if b"text/event-stream" not in reply:
        choice = json.loads(reply.partition(b"\r\n\r\n")[2])["choices"][0]
        return choice["message"]["content"], choice["finish_reason"]
    choices = [json.loads(event)["choices"][0] for event in events(reply)[:-1]]
    return "".join(c["delta"].get("content", "") for c in choices), choices[-1]["finish_reason"]


def _complete(received: bytes) -> int:
    count = 0
    while True:
        head, end, rest = received.partition(b"\r\n\r\n")
        length = _body_length(head, rest) if end else None
        if length is None or len(rest) < length:
            return count
        count, received = count + 1, rest[length:]


def _body_length(head: bytes, rest: bytes) -> int | None:
    if b"Transfer-Encoding: chunked" in head:
        end = rest.find(b"\r\n0\r\n\r\n")
        return None if end < 0 else end + len(b"\r\n0\r\n\r\n")
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
