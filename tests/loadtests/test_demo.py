"""`make demo`: one address to open, stacks that the page may ask, and nothing left after Ctrl-C."""

import argparse
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.demo import add_arguments, staging
from tests.apps.exchange import asked, send
from tests.servers import ROOT, Simulator

UP_S, STOPPED_S = 90.0, 30.0
COMMAND = [sys.executable, "-m", "loadtests", "demo"]


@dataclass
class Demo:
    """A demo that is up; `shown` is what it has printed."""

    process: subprocess.Popen[bytes]
    first_port: int
    shown: list[str]

    @property
    def urls(self) -> list[str]:
        """Of the simulator, the batch stack and the streaming stack."""
        return [f"http://127.0.0.1:{self.first_port + number}" for number in range(3)]


def _three_free_ports() -> int:
    """The first of three in a row that nothing listens on."""
    for first in range(21000, 30000, 3):
        with ExitStack() as probes, suppress(OSError):
            for port in range(first, first + 3):
                probes.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError("no three free ports in a row")


def _pass_on(process: subprocess.Popen[bytes], lines: queue.Queue[bytes]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(b"")


def _lines(process: subprocess.Popen[bytes], until: str) -> list[str]:
    """What a process prints, up to a line that begins so; raises AssertionError when it does not come."""
    lines = queue.Queue[bytes]()
    threading.Thread(target=_pass_on, args=(process, lines), daemon=True).start()
    shown: list[str] = []
    while not (shown and shown[-1].startswith(until)):
        try:
            shown.append(lines.get(timeout=UP_S).decode())
        except queue.Empty:
            raise AssertionError(f"nothing for {UP_S:g} s after {shown}") from None
        assert shown[-1], shown
    return shown


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    first, out = _three_free_ports(), tmp_path_factory.mktemp("demo")
    process = subprocess.Popen(
        [*COMMAND, "--port", str(first), "--out", str(out)],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("CHAT_")},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Demo(process, first, _lines(process, "Ctrl-C"))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(STOPPED_S)


def test_it_prints_one_address_to_open_and_what_else_there_is_below(demo: Demo) -> None:
    simulator, legacy, streaming = demo.urls
    first, *rest = (line.strip() for line in demo.shown)
    assert first == f"Open {streaming}/"
    assert [line for line in rest if line] == [
        f"simulator     {simulator}/v1",
        f"legacy_flask  curl '{legacy}/chat?prompt=hello'",
        f"fastapi_app   curl -N '{streaming}/chat?prompt=hello'",
        "Ctrl-C stops all of them.",
    ]


def test_the_page_is_there_with_its_files_and_knows_the_batch_stack(demo: Demo) -> None:
    _, legacy, streaming = demo.urls
    page = send(streaming, "GET", "/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    files = re.findall(r'(?:src|href)="(/[^"]+)"', page.body.decode())
    assert files
    assert {send(streaming, "GET", path).status for path in files} == {200}
    assert send(streaming, "GET", "/page.json").json() == {"legacy_url": legacy}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_page_may_ask_the_batch_stack_and_no_other_page_may(demo: Demo, host: str) -> None:
    _, legacy, streaming = demo.urls
    name, wanted = "Access-Control-Allow-Origin", {"Access-Control-Request-Method": "POST"}
    page = streaming.replace("127.0.0.1", host)
    for origin, granted in ((page, page), (f"http://{host}:1", None)):
        answer = send(legacy, "OPTIONS", "/chat", headers=wanted | {"Origin": origin})
        assert (answer.status, answer.headers[name]) == (204, granted)


def _refused(port: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, f"--port={port}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_port_that_is_taken_is_one_clear_line(demo: Demo) -> None:
    result = _refused(str(demo.first_port - 2))  # of its three ports, the last is taken
    assert (result.returncode, result.stdout) == (1, "")
    taken = f"demo: port {demo.first_port} on 127.0.0.1 is in use"
    assert result.stderr.startswith(taken)
    assert result.stderr.count("\n") == 1


def test_a_port_that_is_none_is_one_clear_line() -> None:
    result = _refused("65534")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "demo: PORT=65534: a whole number from 1 to 65,533 is needed\n"


def test_it_takes_8000_and_the_next_two() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert staging(parser.parse_args([])).ports == (8000, 8001, 8002)


def test_ctrl_c_stops_everything_in_the_middle_of_an_answer(demo: Demo) -> None:
    """Comes last: it ends the demo of this module."""
    simulator, legacy, streaming = demo.urls
    with asked(streaming, {"prompt": "hi", "stream": True}), asked(legacy, {"prompt": "hi"}):
        Simulator("simulator", simulator, demo.process, Path()).in_flight(2)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(STOPPED_S) == 0
    for url in demo.urls:
        with pytest.raises(ConnectionRefusedError):
            send(url, "GET", "/readyz")
