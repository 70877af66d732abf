"""Clients of /chat/sessions over plain sockets: what is asked, and what of a stream is read and kept."""

import asyncio
import hashlib
import http.client
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from shared.schemas import ChatRequest, Delta, Done
from tests.apps.exchange import JSON, Answer, Json, send
from tests.fastapi_app.serving import DONE, WAIT_S, Gate, PlayedLLM
from tests.fastapi_app.whatwg import Dispatched, parse

SESSIONS = "/chat/sessions"
PAUSE_S = 0.02
APART_S = 0.002  # two words are two frames
T = TypeVar("T")
Played = AsyncGenerator[Delta | Done, None]


def until(look: Callable[[], T], within_s: float = WAIT_S) -> T:
    """What is looked for, once it is there; an AssertionError when that takes too long."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(PAUSE_S)
    return found


# --- a model


class CountedLLM(PlayedLLM):
    """Says `words`, standing at `gate` before the last of them; `calls` has the id of each upstream request."""

    def __init__(self, *words: str, gate: Gate | None = None) -> None:
        super().__init__(self._words)
        self._said, self._gate = words, gate
        self.calls: list[str] = []
        self.closed = 0

    async def _words(self) -> Played:
        *head, last = self._said
        for word in head:
            yield Delta((word,))
            await asyncio.sleep(APART_S)
        if self._gate:
            await self._gate.wait()
        yield Delta((last,))
        yield DONE

    async def stream(self, request: ChatRequest, *, request_id: str) -> Played:
        self.calls.append(request_id)
        try:
            async for event in super().stream(request, request_id=request_id):
                yield event
        finally:
            self.closed += 1


def gated(*words: str) -> tuple[CountedLLM, Gate]:
    gate = Gate()
    return CountedLLM(*words, gate=gate), gate


# --- a client


@dataclass(frozen=True)
class Session:
    """What POST /chat/sessions gave."""

    id: str
    ticket: str
    path: str

    def at(self, last_id: str) -> str:
        """The path that asks for what is behind this id."""
        return f"{self.path}&last_event_id={quote(last_id)}"


@dataclass(frozen=True)
class Site:
    """A server, and the user who asks it."""

    url: str
    key: str | None = None

    @classmethod
    def local(cls, port: int) -> "Site":
        return cls(f"http://127.0.0.1:{port}")

    def ask(self, method: str, path: str, request: Json | None = None, **headers: str) -> Answer:
        """One request and its whole answer; a header's name has _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key is not None:
            named.setdefault("Authorization", f"Bearer {self.key}")
        body = None if request is None else json.dumps(request).encode()
        return send(self.url, method, path, body, {**(JSON if body else {}), **named})

    def post(self, request: Json | None = None, **headers: str) -> Answer:
        return self.ask("POST", SESSIONS, request or {"prompt": "hi"}, **headers)

    def session(self, request: Json | None = None, **headers: str) -> Session:
        """A session that was issued."""
        answer = self.post(request, **headers)
        assert answer.status in (200, 201), answer.body
        return issued(answer)

    def read(self, path: str, last_id: str | None = None) -> bytes:
        """The whole stream."""
        with self.reading(path, last_id) as stream:
            assert stream.status == 200
            return stream.rest()

    @contextmanager
    def reading(self, path: str, last_id: str | None = None) -> Iterator["Stream"]:
        """A stream under way; leaving the context is the client who drops."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=2 * WAIT_S)
        try:
            headers = {} if last_id is None else {"Last-Event-ID": last_id}
            connection.request("GET", path, headers=headers)
            with connection.getresponse() as response:
                yield Stream(response)
        finally:
            connection.close()

    def gauge(self, name: str) -> int:
        for line in self.ask("GET", "/metrics").body.decode().splitlines():
            if line.startswith(f"{name} "):
                return int(float(line.split()[1]))
        raise AssertionError(f"no gauge {name}")


def issued(answer: Answer) -> Session:
    body = answer.json()
    return Session(body["session_id"], body["ticket"], body["stream_url"])


class Stream:
    """An event stream that is being read."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers
        self.read = bytearray()

    def until(self, mark: bytes) -> bytes:
        """All that was read, once one more line with this has come."""
        line = b""
        while mark not in line:
            line = self._response.readline()
            assert line, bytes(self.read)
            self.read += line
        return bytes(self.read)

    def rest(self) -> bytes:
        """All that was read, once the stream has ended."""
        self.read += self._response.read()
        return bytes(self.read)


# --- a stream


def frames(stream: bytes) -> list[bytes]:
    """As they stand on the wire, without `retry` and heartbeats."""
    kept = [
        b"\n".join(line for line in part.split(b"\n") if not line.startswith((b"retry:", b":")))
        for part in stream.split(b"\n\n")[:-1]
    ]
    return [frame for frame in kept if frame]


def text(stream: bytes) -> str:
    return "".join(data(event)["text"] for event in parse(stream) if event.name == "delta")


def names(stream: bytes) -> list[str]:
    """The events that are no deltas."""
    return [event.name for event in parse(stream) if event.name != "delta"]


def id_of(frame: bytes) -> str:
    """Of a frame as it stands on the wire."""
    return frame.partition(b"\n")[0].removeprefix(b"id: ").decode()


def last_id(stream: bytes) -> str:
    return parse(stream)[-1].last_id


def failure(stream: bytes) -> Json:
    """What its one end says, which is a failure."""
    event = parse(stream)[-1]
    assert names(stream) == ["failure"], stream
    return data(event)


def data(event: Dispatched) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(event.data)
    return value


def api_keys(**keys: str) -> str:
    """A CHAT_API_KEYS of these users and their keys."""
    return ",".join(
        f"{user}:{hashlib.sha256(key.encode()).hexdigest()}" for user, key in keys.items()
    )


def together(count: int, do: Callable[[], T]) -> list[T]:
    """What as many threads got that began at once."""
    start, got = threading.Barrier(count), list[T]()

    def one() -> None:
        start.wait(WAIT_S)
        got.append(do())

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * WAIT_S)
    assert len(got) == count
    return got
