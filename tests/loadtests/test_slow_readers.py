"""Clients who read nothing: what is counted of them, what our stack promises, and the command from outside."""

import contextlib
import itertools
import json
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from loadtests.drink import LAST_CHUNK
from loadtests.reporting.reader_claims import ARTICLE_QUEUE_KIB, Memory, b3
from loadtests.slow_readers import most_queued_kib, summarise
from loadtests.unread.holding import RECEIVE_BUFFER, held, were_cut
from loadtests.unread.relays import NAMES, OURS, RECIPE, recipe_queued
from loadtests.unread.sock_diag import Link, links
from loadtests.unread.standstill import Cut, Held
from tests.loadtests.commands import grown, interrupted, refused, started

pytestmark = pytest.mark.timeout(300)  # four relays, one after the other, on a busy machine
HELD = Held(
    held_s=60.0,
    clients=4,
    served=4,
    rss_kib=150.0,
    rss_peak_kib=160.0,
    queued_kib=2.0,
    queued_peak_kib=8.0,
    downstream_kib=40.0,
    upstream_kib=50.0,
    tokens=5_000.0,
    grows=False,
    closed_s=0.2,
    left_open=0,
)
CUT = Cut(
    send_timeout_s=3,
    clients=4,
    cut=4,
    seconds=5.0,
    answers_in_flight=0,
    queued_bytes=0,
    kernel_bytes=0,
    rss_peak_kib=150.0,
    rss_again_kib=155.0,
    rss_kib=90.0,
)


class Kept(msgspec.Struct, frozen=True):
    """What is read of a summary.json."""

    relays: dict[str, Held]
    cut: Cut


def _summary(ours: Held = HELD, was_cut: Cut = CUT) -> dict[str, object]:
    worse = msgspec.structs.replace(HELD, grows=True, closed_s=None, queued_peak_kib=9_999.0)
    return summarise({name: ours if name == OURS else worse for name in NAMES}, was_cut)


def test_our_stack_keeps_its_promises_whatever_the_recipes_do() -> None:
    assert (_summary()["holds"], _summary()["failures"]) == (True, [])


@pytest.mark.parametrize(
    "broken",
    [
        {"queued_peak_kib": most_queued_kib() + 0.1},
        {"grows": True},
        {"served": 3},
        {"closed_s": None},
        {"closed_s": 1.1},
    ],
)
def test_a_promise_that_is_broken_in_the_hold_fails(broken: dict[str, object]) -> None:
    summary = _summary(ours=msgspec.structs.replace(HELD, **broken))
    assert summary["holds"] is False
    assert len(msgspec.convert(summary["failures"], list[str])) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"cut": 3},
        {"answers_in_flight": 1},
        {"queued_bytes": 1},
        {"kernel_bytes": 1},
        {"rss_again_kib": 200.0},
    ],
)
def test_a_promise_that_is_broken_in_the_cut_fails(broken: dict[str, object]) -> None:
    assert _summary(was_cut=msgspec.structs.replace(CUT, **broken))["holds"] is False


@pytest.mark.parametrize(
    ("kib", "grows", "verdict"),
    [
        (ARTICLE_QUEUE_KIB * 0.8, False, "beaten"),
        (ARTICLE_QUEUE_KIB, False, "reproduced"),
        (ARTICLE_QUEUE_KIB * 1.2, False, "not reproduced"),
        (ARTICLE_QUEUE_KIB * 0.8, True, "not reproduced"),
    ],
)
def test_b3_compares_the_memory_of_the_process(kib: float, grows: bool, verdict: str) -> None:
    recipe = Memory(RECIPE, 40, 700.0, 75.0, grows=True)
    claim = b3([Memory(OURS, 200, kib, 1.0, grows=grows), recipe])
    assert claim.verdict == verdict
    assert "700 KiB at 40 clients (75.0 KiB wait for it, growing)" in claim.measured


def test_the_recipe_holds_what_it_took_and_did_not_give() -> None:
    took = recipe_queued(10_000_000, 0, 1)
    assert recipe_queued(10_000_000, round(took), 1) < 1
    assert recipe_queued(10_000_000, 1000, 2) == pytest.approx((took - 1000) / 2)


def _link(local: int, remote: int) -> Link:
    (found,) = (one for one in links() if (one.local_port, one.remote_port) == (local, remote))
    return found


def test_the_kernel_says_what_waits_in_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            mine = client.getsockname()[1]
            server, _ = listener.accept()
            with server:
                client.sendall(b"x" * 700)
                assert server.recv(200) == b"x" * 200
                there, here = _link(port, mine), _link(mine, port)
    assert (there.received, there.unread, there.read) == (700, 500, 200)
    # The kernel counts the segment that opened the connection as a byte.
    assert (here.unacknowledged, here.written - 1) == (0, 700)


def _answered(*, then: Callable[[socket.socket], None]) -> int:
    """How many of one client are found cut, after a server has treated it so."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        held(listener.getsockname()[1], b"ask", 1) as clients,
    ):
        server, _ = listener.accept()
        with server:
            server.recv(100)
            then(server)
        return were_cut(clients)


def _reset(server: socket.socket) -> None:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_a_client_is_cut_when_its_answer_has_no_end() -> None:
    assert _answered(then=_reset) == 1
    assert _answered(then=lambda server: server.sendall(b"5\r\nhello")) == 1
    assert _answered(then=lambda server: server.sendall(b"5\r\nhello\r\n" + LAST_CHUNK)) == 0


def _fill(server: socket.socket) -> None:
    server.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        for _ in itertools.count():
            server.send(b"x" * 40)


def test_the_clients_kernel_takes_next_to_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with held(port, b"ask", 1) as clients:
            server, _ = listener.accept()
            with server:
                _fill(server)
                taken = _link(clients[0].getsockname()[1], port).received
    assert 0 < taken <= 2 * RECEIVE_BUFFER


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """Where a small run has left its figures, and how it ended."""
    out = tmp_path_factory.mktemp("whole")
    run = started("slow-readers", "--clients", "2", "--hold", "3", "--out", str(out))
    printed, errors = run.communicate(timeout=250)
    return out / "summary.json", run.returncode, printed, errors


@pytest.fixture
def kept(whole: tuple[Path, int, str, str]) -> Kept:
    path, _, _, errors = whole
    assert path.exists(), errors
    return msgspec.json.decode(path.read_bytes(), type=Kept)


def test_our_stack_stops_reading_and_lets_go(kept: Kept) -> None:
    ours = kept.relays[OURS]
    assert (ours.clients, ours.served) == (2, 2)
    assert (ours.grows, ours.left_open) == (False, 0)
    assert 0 < ours.queued_peak_kib <= most_queued_kib()
    assert ours.downstream_kib > ours.queued_kib
    assert 0 < ours.tokens < 20_000


def test_what_the_recipe_holds_is_found_from_outside(kept: Kept) -> None:
    recipe = kept.relays[RECIPE]
    # uvicorn waits with the next token once 64 KiB are in its transport.
    assert recipe.queued_peak_kib > 32
    assert recipe.upstream_kib > 0


def test_the_send_timeout_cuts_every_one_of_them(kept: Kept) -> None:
    was = kept.cut
    assert (was.cut, was.answers_in_flight, was.queued_bytes) == (2, 0, 0)
    assert was.kernel_bytes == 0
    assert was.seconds is not None


def test_the_whole_of_it_keeps_its_figures(whole: tuple[Path, int, str, str]) -> None:
    path, status, printed, errors = whole
    summary = json.loads(path.read_bytes())
    assert list(summary["relays"]) == list(NAMES)
    assert [claim["id"] for claim in summary["claims"]] == ["B3"]
    assert status == (0 if summary["holds"] else 1), errors
    assert str(path) in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--clients", "abc"), "CLIENTS=abc"),
        (("--clients", "0"), "CLIENTS=0"),
        (("--hold", "1.5"), "HOLD=1.5"),
    ],
)
def test_a_bad_option_is_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused("slow-readers", options, said, tmp_path, capsys)


def test_an_interrupted_hold_stops_what_it_started(tmp_path: Path) -> None:
    run = started("slow-readers", "--clients", "2", "--hold", "60", "--out", str(tmp_path))
    interrupted(run, grown(2), tmp_path, 2)
