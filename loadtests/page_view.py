"""When a browser has painted the first words of an answer, counted from the click that asks for it."""

import contextlib
import queue
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from itertools import chain
from pathlib import Path

import msgspec
from rich.console import Console

from loadtests.processes import Child, StartError
from loadtests.reporting.records import STACKS, StackName, Views
from loadtests.stage import STREAMING, Stage
from shared.schemas import ChatRequest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which Chromium, run by root, refuses to go without
    "--disable-web-security",  # the page asks both stacks, and neither sends CORS headers
    "--ignore-certificate-errors",  # nginx has a certificate that nobody signed
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
ROUNDS, IN_A_ROUND = 2, 5
"""A browser has six connections by HTTP/1.1 to a host, so no more batch answers wait at a time."""
APART_MS = 400.0
START_S = 30.0
NO_BROWSER = "There is no Chromium here: first words count as visible when they are at the client."


class Ask(msgspec.Struct, frozen=True):
    """A request of the page, so many milliseconds after the beginning of its round."""

    id: str
    url: str
    headers: dict[str, str]
    body: str
    streamed: bool
    after_ms: float


class View(msgspec.Struct, frozen=True):
    """When the first words of an answer were painted, in ms after the click."""

    id: str
    ms: float


class Told(msgspec.Struct, frozen=True):
    """What the page says in the end."""

    browser: str = ""
    views: list[View] = []
    error: str | None = None


def about_s(answer_s: float) -> float:
    """How long the views take; the browser's start included."""
    return ROUNDS * (answer_s + IN_A_ROUND * APART_MS / 1000) + 5


def views(
    stage: Stage, chat: ChatRequest, answer_s: float, out: Path, console: Console
) -> Views | None:
    """Both stacks' answers in headless Chromium, through nginx by TLS where it is up.

    None, and a line that says why, when there is no browser or it fails.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        console.print(NO_BROWSER)
        return None
    console.print(f"{ROUNDS * IN_A_ROUND} answers of each stack in Chromium.")
    try:
        told = _told(program, rounds(stage, chat), out, START_S + 2 * about_s(answer_s))
    except StartError as error:
        console.print(f"[bold]No figures from the browser[/]: {error}")
        return None
    way = "TLS through nginx" if stage.proxies else "HTTP/1.1"
    return Views(f"{_name(told.browser)}, {way}", _by_stack(told.views))


def rounds(stage: Stage, chat: ChatRequest) -> list[list[Ask]]:
    """First an answer of each stack that does not count, then what does."""
    at_once = chat.model_copy(update={"model": "sim:instant"})
    first = [_ask(stage, name, at_once, "first", 0.0) for name in STACKS]
    counted = (
        [
            _ask(stage, name, chat, f"{turn}-{place}", APART_MS * (place + 0.5 * half))
            for place in range(IN_A_ROUND)
            for half, name in enumerate(STACKS)
        ]
        for turn in range(ROUNDS)
    )
    return [first, *counted]


def _ask(stage: Stage, name: StackName, chat: ChatRequest, number: str, after_ms: float) -> Ask:
    origin = stage.proxies[name].tls_url if stage.proxies else stage.url(name)
    streamed = name == STREAMING
    headers = {"Content-Type": "application/json", "X-Request-ID": f"view-{number}"}
    if streamed:
        headers["Accept"] = "text/event-stream"
    body = chat.model_dump_json(exclude_none=True)
    return Ask(f"{name}-{number}", f"{origin}/chat", headers, body, streamed, after_ms)


def _by_stack(found: list[View]) -> dict[StackName, list[float]]:
    counted = [view for view in found if not view.id.endswith("-first")]
    return {name: [v.ms for v in counted if v.id.startswith(name)] for name in STACKS}


def _name(user_agent: str) -> str:
    """`Chromium 140` of all that a browser says of itself."""
    found = re.search(r"Chrome/(\d+)", user_agent)
    return f"Chromium {found[1]}" if found else "Chromium"


def _told(program: str, asked: list[list[Ask]], out: Path, limit_s: float) -> Told:
    """Raises StartError when the page says nothing in time, or an error."""
    with _serving(asked) as site, _chromium(program, site.url, out / "logs") as child:
        try:
            told = site.told.get(timeout=limit_s)
        except queue.Empty:
            raise child.failed(f"said nothing within {limit_s:.0f} s") from None
    if told.error or len(told.views) < len(list(chain(*asked))):
        raise StartError(told.error or "a view is missing")
    return told


@contextlib.contextmanager
def _chromium(program: str, url: str, logs: Path) -> Iterator[Child]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *FLAGS, f"--user-data-dir={profile}", url]
        child = Child("chromium", command, logs / "chromium.log")
        try:
            yield child
        finally:
            child.stop()


@contextlib.contextmanager
def _serving(asked: list[list[Ask]]) -> Iterator["_Site"]:
    site = _Site(msgspec.json.encode(asked))
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


class _Site(ThreadingHTTPServer):
    """Hands out the page and what it is to ask, and takes what it tells."""

    daemon_threads = True

    def __init__(self, rounds: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        page = files("loadtests").joinpath("page_view.html").read_bytes()
        self.found = {"/": ("text/html", page), "/rounds": ("application/json", rounds)}
        self.told: queue.Queue[Told] = queue.Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: _Site

    def do_GET(self) -> None:
        kind, body = self.server.found.get(self.path, ("text/plain", b""))
        self._answer(kind, body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer("text/plain", b"")
        self.server.told.put(msgspec.json.decode(body, type=Told))

    def log_message(self, format: str, *arguments: object) -> None:
        """What fails is in the browser's log."""

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
