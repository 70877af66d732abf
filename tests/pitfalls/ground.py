"""Where an entry is tried: small apps behind real servers on free ports, and what they need beside them."""

import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from flask import Flask
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from werkzeug.serving import make_server

Application = Flask | ASGIApp
START_S = 10.0
POLL_S = 0.01  # how often werkzeug looks whether it shall stop


@dataclass(frozen=True, slots=True)
class Ground:
    """`folder` is empty at the start of each entry, and gone after it."""

    folder: Path

    @contextmanager
    def serving(self, application: Application) -> Iterator[str]:
        """The address of an app, over a real socket: werkzeug's threaded server, or uvicorn."""
        serve = _werkzeug if isinstance(application, Flask) else _uvicorn
        with serve(application) as url:  # type: ignore[arg-type]  # mypy joins the two functions
            yield url


@contextmanager
def _werkzeug(application: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _uvicorn(application: ASGIApp) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(application)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            if not server.listening.wait(START_S):
                raise TimeoutError(f"uvicorn did not start within {START_S:g} s")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Answering:
    """An app, and the status of each of its answers, by path, in their order."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.statuses: defaultdict[str, list[int]] = defaultdict(list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[scope["path"]].append(message["status"])
            await send(message)

        await self._app(scope, receive, noting)


class _Server(uvicorn.Server):
    """Says when it listens, so that nobody has to ask."""

    def __init__(self, application: ASGIApp) -> None:
        super().__init__(uvicorn.Config(application, log_config=None, timeout_graceful_shutdown=1))
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()
