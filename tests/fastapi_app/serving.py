"""The streaming app around a model that a test plays, under a real uvicorn; read with a plain socket."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace

import uvicorn

from fastapi_app.app import create_app
from fastapi_app.services import Services, open_services
from shared.schemas import ChatReply, ChatRequest, Delta, Done
from shared.settings import Settings

WAIT_S = 5.0
DONE = Done(id="a", model="m", finish_reason="stop")
Play = Callable[[], AsyncGenerator[Delta | Done, None]]


class PlayedLLM:
    """An AsyncLLM whose streams are what a test plays; `left` is set when one has ended or was closed."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self.left = threading.Event()

    async def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        raise NotImplementedError

    async def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> AsyncGenerator[Delta | Done, None]:
        try:
            async with aclosing(self._play()) as events:
                async for event in events:
                    yield event
        finally:
            self.left.set()

    async def close(self) -> None:
        """Nothing is held."""


class Gate:
    """Holds a play until the test, in another thread, opens it."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reached = threading.Event()

    async def wait(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reached.set()
        await self._opened.wait()

    def reached(self) -> None:
        """Returns when the play stands at the gate."""
        assert self._reached.wait(WAIT_S)

    def open(self) -> None:
        self.reached()
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._opened.set)


class Reading:
    """One request for a stream; its answer is read chunk by chunk, as the server wrote it."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")
        self.status = 0
        self.headers: dict[str, str] = {}

    def head(self) -> int:
        """The status, once the server has committed itself."""
        self.status = int(self._file.readline().split()[1])
        while line := self._file.readline().strip():
            name, _, value = line.decode("latin-1").partition(": ")
            self.headers[name.lower()] = value
        return self.status

    def chunk(self) -> bytes:
        """The next chunk; empty at the end."""
        size = int(self._file.readline(), 16)
        body = self._file.read(size)
        assert self._file.readline() == b"\r\n"
        return body

    def rest(self) -> bytes:
        """All chunks up to the end."""
        return b"".join(iter(self.chunk, b""))

    def json(self) -> dict[str, dict[str, object]]:
        body: dict[str, dict[str, object]] = json.loads(
            self._file.read(int(self.headers["content-length"]))
        )
        return body


def services(llm: PlayedLLM, **settings: object) -> Services:
    held = open_services(Settings.model_validate({"log_path": ""} | settings))
    return replace(held, llm=llm)


@contextmanager
def asked(llm: PlayedLLM, **settings: object) -> Iterator[Reading]:
    """A stream asked for; leaving the context is the reader who goes away."""
    with serving(llm, **settings) as port, asking(port) as reading:
        yield reading


@contextmanager
def asking(
    port: int, *, receive_buffer: int | None = None, path: str = "/chat?prompt=hi"
) -> Iterator[Reading]:
    with socket.socket() as connection:
        connection.settimeout(WAIT_S)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect(("127.0.0.1", port))
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-ID: r-1\r\n\r\n"
        connection.sendall(head.encode())
        reading = Reading(connection)
        try:
            yield reading
        finally:
            reading._file.close()


@contextmanager
def serving(llm: PlayedLLM, **settings: object) -> Iterator[int]:
    """The port of an app around this model; it listens before the thread runs, so nobody has to wait for it."""
    held = services(llm, **settings)
    config = uvicorn.Config(
        create_app(held.settings, held),
        loop="uvloop",
        http="fastapi_app.connection:Connection",
        log_level="critical",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
