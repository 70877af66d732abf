"""Every fault in both modes over real sockets: what a reader gets, and what the timeline says of it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.simulation.faults import FAULTS, strikes
from tests.servers import Simulator, simulator

from .exchange import TIMEOUT_S, ask, chat, content, events

TOKENS = 6
MODES = pytest.mark.parametrize("stream", [True, False], ids=["stream", "batch"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("faults")) as server:
        yield server


def request(fault: str, stream: bool, request_id: str = "") -> bytes:
    named = request_id or f"{fault}-{stream}"
    return chat(named, model=f"sim+{fault}", stream=stream, max_tokens=TOKENS)


def read_until_reset(port: int, payload: bytes) -> bytes:
    """What came before the connection was reset; an orderly end fails."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
        client.sendall(payload)
        try:
            while part := client.recv(65536):
                received += part
        except ConnectionResetError:
            return received
    raise AssertionError("the connection ended without a reset")


def read_until_silent(port: int, payload: bytes) -> bytes:
    """What came before a silence of 0.3 s, after which the reader leaves; an end of the connection fails."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.3) as client:
        client.sendall(payload)
        try:
            while part := client.recv(65536):
                received += part
        except TimeoutError:
            return received
    raise AssertionError("the connection ended")


@MODES
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("401", 401, "invalid_request_error"),
        ("429", 429, "requests"),
        ("500", 500, "server_error"),
        ("503", 503, "service_unavailable"),
    ],
)
def test_refusals(running: Simulator, fault: str, status: int, kind: str, stream: bool) -> None:
    head, _, payload = ask(running.port, request(fault, stream)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(payload)["error"]["type"] == kind
    assert (b"\r\nRetry-After: 1" in head) == (fault == "429")
    entry = running.ended(f"{fault}-{stream}")
    assert (entry["status"], entry["tokens"], entry["first_ns"]) == (status, 0, None)


@MODES
def test_html_comes_with_a_200(running: Simulator, stream: bool) -> None:
    head, _, payload = ask(running.port, request("html", stream)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Type: text/html" in head
    assert payload.startswith(b"<!doctype html>")


@MODES
def test_500_once_fails_only_the_first_attempt(running: Simulator, stream: bool) -> None:
    first, second = (ask(running.port, request("500-once", stream)) for _ in range(2))
    assert first.startswith(b"HTTP/1.1 500 ")
    assert content(second)[1] == "length"


@MODES
def test_drop_is_a_reset_before_any_byte(running: Simulator, stream: bool) -> None:
    assert read_until_reset(running.port, request("drop", stream)) == b""
    assert running.ended(f"drop-{stream}")["tokens"] == 0


def test_drop_mid_is_a_reset_after_half_of_the_tokens(running: Simulator) -> None:
    received = read_until_reset(running.port, request("drop-mid", stream=True))
    assert len(events(received)) == 1 + TOKENS // 2
    entry = running.ended("drop-mid-True")
    assert (entry["tokens"], len(entry["token_us"])) == (TOKENS // 2, TOKENS // 2)


def test_drop_mid_is_a_reset_in_the_middle_of_a_body(running: Simulator) -> None:
    head, _, part = read_until_reset(running.port, request("drop-mid", False)).partition(
        b"\r\n\r\n"
    )
    promised = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert 0 < len(part) < promised


@pytest.mark.parametrize(
    ("fault", "stream", "tokens"),
    [("stall", True, 0), ("stall", False, TOKENS), ("stall-mid", True, 3), ("stall-mid", False, 6)],
)
def test_a_stall_is_silent_until_the_reader_leaves(
    running: Simulator, fault: str, stream: bool, tokens: int
) -> None:
    received = read_until_silent(running.port, request(fault, stream))
    assert (received == b"") == (fault == "stall")
    assert b"[DONE]" not in received
    entry = running.ended(f"{fault}-{stream}")
    assert entry["disconnected_ns"] is not None
    assert (entry["tokens"], entry["tokens_after_disconnect"]) == (tokens, 0)


def test_one_event_of_a_malformed_stream_is_cut_short(running: Simulator) -> None:
    found = events(ask(running.port, request("malformed", stream=True)))
    whole = events(ask(running.port, chat("malformed-True", stream=True, max_tokens=TOKENS)))
    broken = [event for event in found if not _is_json(event) and event != b"[DONE]"]
    assert len(broken) == 1
    assert found.index(broken[0]) == 1 + TOKENS // 2
    assert len(found) == len(whole) + 1


def test_a_malformed_body_is_cut_short_and_its_length_is_true(running: Simulator) -> None:
    payload = ask(running.port, request("malformed", stream=False)).partition(b"\r\n\r\n")[2]
    assert payload
    assert not _is_json(payload)


def test_no_done_ends_in_order_but_for_its_last_event(running: Simulator) -> None:
    found = events(ask(running.port, request("no-done", stream=True)))
    assert json.loads(found[-1])["choices"][0]["finish_reason"] == "length"


def test_an_error_object_ends_the_stream(running: Simulator) -> None:
    found = events(ask(running.port, request("error-object", stream=True)))
    assert json.loads(found[-1])["error"]["type"] == "server_error"
    assert len(found) == 2 + TOKENS // 2
    payload = ask(running.port, request("error-object", stream=False)).partition(b"\r\n\r\n")[2]
    assert json.loads(payload)["error"]["type"] == "server_error"


def test_empty_choices_in_a_stream_cost_no_text(running: Simulator) -> None:
    found = events(ask(running.port, request("empty-choices", stream=True)))
    whole = events(ask(running.port, chat("empty-choices-True", stream=True, max_tokens=TOKENS)))
    choices = [json.loads(event)["choices"] for event in found[:-1]]
    assert choices.count([]) == 1
    assert [one for one in choices if one] == [json.loads(event)["choices"] for event in whole[:-1]]
    payload = ask(running.port, request("empty-choices", stream=False)).partition(b"\r\n\r\n")[2]
    assert json.loads(payload)["choices"] == []


def test_open_after_done_keeps_the_body_unfinished_until_the_reader_leaves(
    running: Simulator,
) -> None:
    received = read_until_silent(running.port, request("open-after-done", stream=True))
    assert received.endswith(b"data: [DONE]\n\n\r\n")
    entry = running.ended("open-after-done-True")
    assert entry["disconnected_ns"] is not None
    assert (entry["tokens"], entry["tokens_after_disconnect"]) == (TOKENS, 0)


@MODES
@pytest.mark.parametrize(("fault", "tokens"), [("trickle", 0), ("trickle-mid", TOKENS // 2)])
def test_a_trickle_brings_bytes_and_no_tokens(
    running: Simulator, fault: str, tokens: int, stream: bool
) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=TIMEOUT_S) as client:
        client.sendall(request(fault, stream))
        parts = [client.recv(65536) for _ in range(5)]
    received = b"".join(parts)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert all(parts)
    assert received.count(b'"content":"') - received.count(b'"content":""') == tokens * stream
    assert received.count(b": processing") >= 3 * stream
    entry = running.ended(f"{fault}-{stream}")
    assert entry["disconnected_ns"] is not None
    assert entry["tokens_after_disconnect"] == 0


@MODES
def test_overrun_ignores_the_limit_of_the_request(running: Simulator, stream: bool) -> None:
    whole = content(ask(running.port, chat(f"overrun-{stream}", stream=stream)))
    assert content(ask(running.port, request("overrun", stream))) == whole
    assert running.ended(f"overrun-{stream}")["tokens"] == 500


def test_the_rate_is_a_share_of_requests_and_the_same_every_time() -> None:
    struck = [n for n in range(4000) if strikes(7, f"r7-{n:06d}", "429", 0.25)]
    again = [n for n in range(4000) if strikes(7, f"r7-{n:06d}", "429", 0.25)]
    assert struck == again
    assert len(struck) == pytest.approx(1000, rel=0.15)
    assert not any(strikes(7, str(n), "429", 0.0) for n in range(100))
    assert all(strikes(7, str(n), "429", 1.0) for n in range(100))


def test_a_fault_of_the_whole_simulator_meets_its_share(tmp_path: Path) -> None:
    with simulator(tmp_path, "--fault", "503", "--fault-rate", "0.5", "--seed", "3") as server:
        for number in range(20):
            reply = ask(server.port, chat(f"share-{number}", max_tokens=1))
            expected = 503 if strikes(3, f"share-{number}", "503", 0.5) else 200
            assert reply.startswith(b"HTTP/1.1 %d " % expected)
        assert ask(server.port, chat("named", model="sim+none")).startswith(b"HTTP/1.1 200 ")


def test_every_fault_that_can_be_asked_for_has_a_test_here() -> None:
    source = Path(__file__).read_text("utf-8")
    assert [fault for fault in FAULTS if f'"{fault}"' not in source and fault != "none"] == []


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
