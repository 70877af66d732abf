"""Headless Chromium on a page that reads event streams, for a test, with the browser's own EventSource."""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from tests.fastapi_app.whatwg import Dispatched

READ_S = 30.0
STOP_S = 10.0
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which Chromium, run by root, refuses to go without
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class ChromiumFailed(Exception):
    """The page did not answer in time; says what Chromium wrote."""


class Stream(NamedTuple):
    """What the site answers with: headers, and a body that is written chunk by chunk."""

    headers: Mapping[str, str]
    chunks: Iterable[bytes]


Source = Callable[[], Stream]


class Asked(NamedTuple):
    """A request for a stream; `last_id` is the Last-Event-ID that a browser sends when it connects again."""

    path: str
    last_id: str | None


class Reading(NamedTuple):
    """What the page's listeners were given; an error of the connection is an event without data."""

    path: str
    events: list[Dispatched]


class Browser:
    """A page in Chromium; `asked` has its requests for streams, in order."""

    def __init__(self, site: "_Site", log: Path) -> None:
        self._site = site
        self._log = log
        self.asked = site.asked

    def read(self, source: Source, *, ends: int = 1) -> Reading:
        """Opens an EventSource and closes it at the last of so many terminal events; raises ChromiumFailed."""
        path = f"/stream/{len(self._site.sources)}"
        self._site.sources[path] = source
        self._site.orders.put({"url": path, "ends": ends})
        try:
            events = self._site.answers.get(timeout=READ_S)
        except queue.Empty:
            log = self._log.read_text("utf-8", errors="replace")
            raise ChromiumFailed(f"no answer within {READ_S:g} s\n{log}") from None
        return Reading(path, [Dispatched(*event) for event in events])

    def requests(self, reading: Reading) -> list[str | None]:
        """The Last-Event-ID of each request that this reading has made so far."""
        return [asked.last_id for asked in self.asked if asked.path == reading.path]


@contextmanager
def browsing(program: str, page: Path, directory: Path) -> Iterator[Browser]:
    """Chromium at this page, on a site of its own."""
    with _serving(page) as site, _chromium(program, site.url, directory) as log:
        yield Browser(site, log)


@contextmanager
def _serving(page: Path) -> Iterator["_Site"]:
    site = _Site(page.read_bytes())
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        site.orders.put(None)
        site.shutdown()
        thread.join()
        site.server_close()


@contextmanager
def _chromium(program: str, url: str, directory: Path) -> Iterator[Path]:
    log = directory / "chromium.log"
    with tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as profile:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, *FLAGS, f"--user-data-dir={profile}", url],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield log
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the browser with the processes that it started: they are one group."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Site(ThreadingHTTPServer):
    """Hands out the page, then orders for it, and takes its answers."""

    daemon_threads = True

    def __init__(self, page: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = page
        self.sources: dict[str, Source] = {}
        self.orders: queue.Queue[dict[str, str | int] | None] = queue.Queue()
        self.answers: queue.Queue[list[list[str]]] = queue.Queue()
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: _Site

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(Stream({"Content-Type": "text/html"}, [self.server.page]))
        elif self.path == "/order":
            if order := self.server.orders.get():
                self._answer(Stream({}, [json.dumps(order).encode()]))
        else:
            self.server.asked.append(Asked(self.path, self.headers["Last-Event-ID"]))
            self._answer(self.server.sources[self.path]())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(Stream({}, []))
        self.server.answers.put(json.loads(body))

    def log_message(self, format: str, *arguments: object) -> None:
        """A failed test shows what Chromium wrote; the site has nothing to add."""

    def _answer(self, stream: Stream) -> None:
        self.send_response(200)
        for name, value in stream.headers.items():
            self.send_header(name, value)
        self.end_headers()
        # A page may close a stream before its end.
        with suppress(ConnectionError):
            for chunk in stream.chunks:
                self.wfile.write(chunk)
