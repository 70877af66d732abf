"""The WebSocket over real sockets: the same events as messages, the same refusals, endings and records."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fastapi_app import memory
from fastapi_app.websocket import message
from shared.schemas import Delta
from shared.telemetry import IN_FLIGHT, TASKS
from tests.fastapi_app.serving import WAIT_S, PlayedLLM, serving
from tests.fastapi_app.session_client import (
    CountedLLM,
    Played,
    Session,
    Site,
    api_keys,
    frames,
    gated,
    last_id,
    text,
    together,
    until,
)
from tests.fastapi_app.whatwg import parse
from tests.servers import Server, Simulator, app

KEY = "key-of-ann-never-log-this"
KEYS = {"api_keys": api_keys(ann=KEY)}
PROMPT = "a-prompt-that-must-stay-private"
LONG_S = 60
ASKED = {"request": {"prompt": "hi"}}
Json = dict[str, Any]


class Talk:
    """One WebSocket: what is said, and what came back."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, message: Json) -> None:
        self.socket.send(json.dumps(message))

    def hear(self) -> Json:
        heard: Json = json.loads(self.socket.recv(2 * WAIT_S))
        return heard

    def rest(self) -> tuple[list[Json], int]:
        """The messages up to the close, and its code."""
        heard = []
        while True:
            try:
                heard.append(self.hear())
            except ConnectionClosed as closed:
                return heard, closed.rcvd.code if closed.rcvd else 1006


@contextmanager
def talking(url: str, path: str = "/chat/ws", **headers: str) -> Iterator[Talk]:
    at = url.replace("http://", "ws://") + path
    with connect(
        at, additional_headers=headers, open_timeout=2 * WAIT_S, close_timeout=1
    ) as opened:
        yield Talk(opened)


def answered(url: str, asked: Json, **headers: str) -> tuple[list[Json], int]:
    """All that comes back for a first message."""
    with talking(url, **headers) as talk:
        talk.say(asked)
        return talk.rest()


def local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def reads(one: Session, last_id: str | None = None) -> Json:
    return {"session_id": one.id, "ticket": one.ticket, "last_event_id": last_id}


def said(messages: list[Json]) -> str:
    return "".join(one["data"]["text"] for one in messages if one["event"] == "delta")


def refusal(answer: tuple[list[Json], int]) -> tuple[str, int]:
    """The code of the one failure, and that of the close."""
    [only], code = answer
    assert (only["id"], only["event"]) == (None, "failure")
    assert list(only["data"]) == ["code", "message", "request_id", "retryable"]
    return only["data"]["code"], code


def recorded(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- a session


def test_a_session_is_read_as_its_stream_is() -> None:
    with serving(CountedLLM("one", "\r\n\n\u2028", "\ud83d", "é🙂")) as port:
        site = Site.local(port)
        one = site.session()
        messages, code = answered(site.url, reads(one))
        first = parse(site.read(one.path, messages[0]["id"]))
    assert code == 1000
    assert [list(each) for each in messages] == [["id", "event", "data"]] * len(messages)
    assert said(messages) == "one\r\n\n\u2028\ufffdé🙂"
    assert messages[-1]["event"] == "done"
    rest = [{"id": e.last_id, "event": e.name, "data": json.loads(e.data)} for e in first]
    assert messages[1:] == rest


def test_it_goes_on_behind_the_last_id_whatever_read_before() -> None:
    llm, gate = gated("one", "two", "three")
    with serving(llm, resume_grace_s=LONG_S) as port:
        site = Site.local(port)
        one = site.session()
        with site.reading(one.path) as reading:
            had = reading.until(b'one"}\n') + b"\n"
        with talking(site.url) as talk:
            talk.say(reads(one, last_id(had)))
            second = talk.hear()
        gate.open()
        messages, code = answered(site.url, reads(one, second["id"]))
        assert code == 1000
        assert answered(site.url, reads(one, messages[-1]["id"])) == ([], 1000)
        assert len(frames(site.read(one.path, second["id"]))) == len(messages)
    assert text(had) + said([second, *messages]) == "onetwothree"
    assert len(llm.calls) == 1


def test_an_unknown_id_is_a_gap() -> None:
    with serving(CountedLLM("one")) as port:
        site = Site.local(port)
        assert refusal(answered(site.url, reads(site.session(), "0-0"))) == ("gap", 1000)


def test_tickets_that_open_nothing_are_refused_alike() -> None:
    with serving(CountedLLM("one")) as port:
        site = Site.local(port)
        one, two = site.session(), site.session()
        wrong: list[Json] = [
            {},
            {"session_id": one.id},
            {"ticket": one.ticket},
            {"session_id": one.id, "ticket": two.ticket},
            {"session_id": "x", "ticket": one.ticket},
            {"session_id": "\0", "ticket": "🙂"},
        ]
        for asked in wrong:
            assert refusal(answered(site.url, asked)) == ("ticket_refused", 1008)


# --- an answer of its own


def test_an_answer_of_its_own(tmp_path: Path) -> None:
    records = tmp_path / "answers.jsonl"
    with serving(CountedLLM("one", "two"), log_path=str(records), **KEYS) as port:
        named = {"Authorization": f"Bearer {KEY}", "X-Request-ID": "own-1"}
        messages, code = answered(local(port), ASKED, **named)
    assert (said(messages), messages[-1]["event"], code) == ("onetwo", "done", 1000)
    [record] = recorded(records)
    kept = {name: record[name] for name in ("request_id", "user", "kind", "outcome", "tokens")}
    assert list(kept.values()) == ["own-1", "ann", "stream", "finished", 2]


def test_without_a_key_there_is_none() -> None:
    llm = CountedLLM("one")
    wrong: list[dict[str, str]] = [{}]
    wrong += [{"Authorization": value} for value in ("", "Bearer", "Bearer x", f"Basic {KEY}", KEY)]
    with serving(llm, **KEYS) as port:
        for headers in wrong:
            assert refusal(answered(local(port), ASKED, **headers)) == ("unauthorized", 1008)
    assert llm.calls == []


def test_a_key_that_comes_twice_is_none() -> None:
    with serving(CountedLLM("one"), **KEYS) as port:
        url = local(port).replace("http", "ws") + "/chat/ws"
        twice = [("Authorization", f"Bearer {KEY}")] * 2
        with connect(url, additional_headers=twice) as opened:
            talk = Talk(opened)
            talk.say(ASKED)
            assert refusal(talk.rest()) == ("unauthorized", 1008)


def test_a_ticket_needs_no_key() -> None:
    with serving(CountedLLM("one"), **KEYS) as port:
        one = Site(local(port), KEY).session()
        assert answered(local(port), reads(one))[1] == 1000


def test_who_leaves_ends_the_upstream_at_once(tmp_path: Path) -> None:
    llm, _gate = gated("one", "two")
    records = tmp_path / "answers.jsonl"
    with serving(llm, resume_grace_s=LONG_S, log_path=str(records)) as port:
        with talking(local(port)) as talk:
            talk.say(ASKED)
            assert talk.hear()["data"] == {"text": "one"}
        assert llm.left.wait(WAIT_S)
        assert until(lambda: recorded(records))
    [record] = recorded(records)
    assert (record["outcome"], record["code"]) == ("cancelled", "client_closed")


def test_who_leaves_a_session_may_come_back() -> None:
    llm, gate = gated("one", "two")
    with serving(llm, resume_grace_s=LONG_S) as port:
        site = Site.local(port)
        one = site.session()
        with talking(site.url) as talk:
            talk.say(reads(one))
            first = talk.hear()
        gate.open()
        messages, _ = answered(site.url, reads(one, first["id"]))
    assert said([first, *messages]) == "onetwo"
    assert len(llm.calls) == 1


@pytest.mark.parametrize("own", [True, False])
def test_stop(own: bool, tmp_path: Path) -> None:
    llm, _gate = gated("one", "two")
    records = tmp_path / "answers.jsonl"
    with serving(llm, resume_grace_s=LONG_S, log_path=str(records)) as port:
        site = Site.local(port)
        with talking(site.url) as talk:
            talk.say(ASKED if own else reads(site.session()))
            talk.hear()
            talk.say({"stop": False})
            talk.say({"stop": True})
            [last], code = talk.rest()
        assert llm.left.wait(WAIT_S)
    assert (last["data"]["code"], last["data"]["retryable"], code) == ("stopped", False, 1000)
    [record] = recorded(records)
    assert (record["outcome"], record["code"]) == ("cancelled", "stopped")


# --- what is no first message


MALFORMED = {
    "": "invalid_json",
    "{": "invalid_json",
    "not json": "invalid_json",
    '{"ticket": "\\ud800"}': "invalid_json",
    '{"ticket": "a"} {"ticket": "b"}': "invalid_json",
    "null": "invalid_request",
    "[]": "invalid_request",
    '"x"': "invalid_request",
    "1e999": "invalid_request",
    '{"ticket": 1}': "invalid_request",
    '{"last_event_id": 1}': "invalid_request",
    '{"session_id": null}': "invalid_request",
    '{"unknown": 1}': "invalid_request",
    '{"stop": true}': "invalid_request",
    '{"request": null}': "invalid_request",
    '{"request": {}}': "invalid_request",
    '{"request": "hi"}': "invalid_request",
    '{"request": {"prompt": "hi", "max_tokens": 0}}': "invalid_request",
    '{"request": {"prompt": "hi"}, "ticket": "x"}': "invalid_request",
    '{"request": {"prompt": "hi"}, "session_id": "x"}': "invalid_request",
    '{"request": {"prompt": "hi"}, "last_event_id": "1-1"}': "invalid_request",
    '{"request": ' + "[" * 20_000 + "]" * 20_000 + "}": "invalid_json",
    "[" * 50_000: "invalid_request",
    '{"x": ' + "[" * 20_000 + "]" * 20_000 + "}": "invalid_request",
    " " * 200_001: "body_too_large",
}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(CountedLLM("one"), request_timeout_s=0.3, max_body_bytes=200_000) as port:
        yield Site.local(port)


@pytest.mark.parametrize("first", MALFORMED, ids=lambda one: ascii(one[:40]))
def test_a_malformed_first_message(site: Site, first: str) -> None:
    with talking(site.url) as talk:
        talk.socket.send(first)
        assert refusal(talk.rest()) == (MALFORMED[first], 1008)


def test_bytes_are_no_message(site: Site) -> None:
    with talking(site.url) as talk:
        talk.socket.send(json.dumps(ASKED).encode())
        assert refusal(talk.rest()) == ("bad_request", 1008)


def test_a_message_that_is_too_large(site: Site) -> None:
    with talking(site.url) as talk:
        talk.socket.send(json.dumps({"request": {"prompt": "x" * 200_000}}))
        assert refusal(talk.rest()) == ("body_too_large", 1008)


def test_text_that_is_no_text(site: Site) -> None:
    with talking(site.url) as talk:
        talk.socket.send(b'{"ticket": "\xff"}', text=True)
        assert talk.rest() == ([], 1007)


def test_no_first_message(site: Site) -> None:
    with talking(site.url) as talk:
        assert refusal(talk.rest()) == ("request_timeout", 1008)


def test_a_malformed_order_ends_it() -> None:
    llm, _gate = gated("one", "two")
    with serving(llm) as port:
        for order in ("{}", '{"stop": 1}', '{"stop": true, "x": 1}', "[]"):
            with talking(local(port)) as talk:
                talk.say(ASKED)
                talk.hear()
                talk.socket.send(order)
                assert refusal(talk.rest()) == ("invalid_request", 1008)
        assert until(lambda: llm.closed == 4)


def test_no_page_finds_it_by_http(site: Site) -> None:
    answer = site.ask("GET", "/chat/ws")
    assert (answer.status, answer.code) == (404, "not_found")


# --- origins


def test_only_pages_of_listed_origins_are_let_in() -> None:
    page = "https://page.example"
    others = [f"{page}.evil.example", "http://page.example", "http://127.0.0.1:1", "null", ""]
    with serving(CountedLLM("one"), cors_origins=page) as port:
        for origin in (page, f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}"):
            assert answered(local(port), ASKED, Origin=origin)[1] == 1000
        for origin in others:
            with pytest.raises(InvalidStatus) as refused, talking(local(port), Origin=origin):
                pass
            assert refused.value.response.status_code == 403


# --- limits


def test_limits_are_the_same(tmp_path: Path) -> None:
    llm, gate = gated("one", "two")
    records = tmp_path / "answers.jsonl"
    limits = {"user_answers": 1, "rate_limit": "2/hour", "log_path": str(records)}
    with serving(llm, **limits) as port:
        with talking(local(port)) as talk:
            talk.say(ASKED)
            talk.hear()
            assert refusal(answered(local(port), ASKED)) == ("too_many_answers", 1013)
            gate.open()
            assert talk.rest()[1] == 1000
        until(lambda: Site.local(port).gauge(IN_FLIGHT) == 0)
        assert answered(local(port), ASKED)[1] == 1000, "what was denied cost nothing"
        assert refusal(answered(local(port), ASKED)) == ("rate_limited", 1013)
    assert len(recorded(records)) == 2


def test_answers_of_their_own_leave_no_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_SESSIONS", 1)
    with serving(CountedLLM("one"), rate_limit="3/hour", session_s=0.1) as port:
        for _ in range(3):
            assert answered(local(port), ASKED)[1] == 1000
        assert refusal(answered(local(port), ASKED)) == ("rate_limited", 1013)
        assert Site.local(port).post().code == "rate_limited"


def test_who_left_is_not_looked_for_among_the_sessions() -> None:
    llm, _gate = gated("one", "two")
    with serving(llm, session_s=0.05) as port:
        site = Site.local(port)
        for _ in range(3):
            with talking(site.url) as talk:
                talk.say(ASKED)
                talk.hear()
        assert until(lambda: llm.closed == 3)
        assert {site.post().status for _ in range(30)} == {201}


def test_without_a_slot() -> None:
    llm, _gate = gated("one", "two")
    with serving(llm, upstream_connections=1) as port, talking(local(port)) as talk:
        talk.say(ASKED)
        talk.hear()
        assert refusal(answered(local(port), ASKED)) == ("overloaded", 1013)


# --- who reads nothing


async def _floods() -> Played:
    while True:
        yield Delta(("x" * 8192,))


class Deaf:
    """Asks, by hand, and reads nothing of the answer."""

    def __init__(self, port: int, asked: Json) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(2 * WAIT_S)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(
            b"GET /chat/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        while b"\r\n\r\n" not in self.socket.recv(4096):
            pass
        body = json.dumps(asked).encode()
        assert len(body) < 126
        self.socket.sendall(bytes([0x81, 0x80 | len(body)]) + bytes(4) + body)  # masked with zeros

    def cut(self) -> bool:
        """Whether the server has ended the connection, with or without a word."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


@pytest.mark.parametrize("own", [True, False])
def test_who_reads_nothing_is_cut(own: bool, tmp_path: Path) -> None:
    llm = PlayedLLM(_floods)
    records = tmp_path / "answers.jsonl"
    settings = {"send_timeout_s": 0.3, "resume_grace_s": 0.1, "log_path": str(records)}
    settings["max_answer_tokens"] = 10**9  # the flood must outlast the cut
    with serving(llm, **settings) as port:
        site = Site.local(port)
        tasks = site.gauge(TASKS)
        asked = ASKED if own else reads(site.session())
        asked.pop("last_event_id", None)
        deaf = Deaf(port, asked)
        assert llm.left.wait(WAIT_S)
        assert until(lambda: site.gauge(TASKS) <= tasks)
        assert deaf.cut()
        deaf.socket.close()
    [record] = recorded(records)
    code = "slow_reader" if own else "abandoned"
    assert record["code"] == code


# --- what is left


def test_nothing_is_left_of_sockets_that_were_dropped() -> None:
    llm, _gate = gated("one", "two")
    with serving(llm, resume_grace_s=0.05) as port:
        site = Site.local(port)
        tasks = site.gauge(TASKS)

        def drop() -> None:
            for number in range(10):
                with talking(site.url) as talk:
                    talk.say(ASKED if number % 2 else reads(site.session()))
                    talk.hear()

        together(5, drop)
        assert until(lambda: site.gauge(IN_FLIGHT) == 0)
        assert until(lambda: site.gauge(TASKS) <= tasks)
        assert until(lambda: len(llm.calls) == llm.closed)


# --- under its own servers


def slow() -> Json:
    return {"prompt": PROMPT, "model": "sim:article"}


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_under_each_server(server: str, upstream: Simulator, tmp_path: Path) -> None:
    settings = {
        "CHAT_API_KEYS": KEYS["api_keys"],
        "CHAT_DRAIN_GRACE_S": "0.2",
        "CHAT_MAX_BODY_BYTES": "20000",
        "CHAT_UPSTREAM_RETRIES": "0",
    }
    with app("fastapi_app", tmp_path, upstream.base_url, settings, ("--server", server)) as running:
        secrets = _says_the_same(running, server)
        _ends_with_its_client(running, server, upstream)
        _drains(running, server, upstream)
    assert running.process.returncode == 0
    log = running.logged()
    for secret in (*secrets, PROMPT, KEY, "Traceback"):
        assert secret not in log
    records = [json.loads(line) for line in log.splitlines() if line.startswith('{"at":')]
    codes = {record["request_id"].partition("-")[2]: record["code"] for record in records}
    assert codes == {
        "session": None,
        "429": "upstream_rate_limited",
        "left": "client_closed",
        "stop": "stopped",
        "drain": "draining",
    }
    assert len(records) == len(codes)


def _named(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}", "X-Request-ID": name}


def _says_the_same(running: Server, server: str) -> tuple[str, ...]:
    """Also to those who put secrets where they do not belong; returns the secrets."""
    url, site = running.url, Site(running.url, KEY)
    request = {"prompt": PROMPT, "model": "sim:instant", "max_tokens": 20}
    one = site.session(request, X_Request_ID=f"{server}-session")
    query = f"/chat/ws?ticket={one.ticket}&prompt={PROMPT}"
    with talking(url, query) as talk:
        talk.say(reads(one))
        messages, code = talk.rest()
    assert (messages[-1]["event"], code) == ("done", 1000)
    assert text(site.read(one.path, messages[0]["id"])) == said(messages[1:])
    assert refusal(answered(url, {"session_id": one.id})) == ("ticket_refused", 1008)
    for path, origin in ((query, "http://evil.example"), (f"/x?ticket={one.ticket}", url)):
        with pytest.raises(InvalidStatus) as refused, talking(url, path, Origin=origin):
            pass
        assert refused.value.response.status_code == 403
    with talking(url) as talk:
        talk.socket.send(PROMPT)
        assert refusal(talk.rest()) == ("invalid_json", 1008)
    failing = {"request": {"prompt": PROMPT, "model": "sim:instant+429"}}
    [only], code = answered(url, failing, **_named(f"{server}-429"))
    assert (only["data"]["code"], code) == ("upstream_rate_limited", 1000)
    assert only["data"]["request_id"] == f"{server}-429"
    with talking(url) as talk:
        talk.say({"request": {"prompt": "x" * 20_000}})
        # uvicorn does not even take it in.
        if server == "uvicorn":
            assert talk.rest() == ([], 1009)
        else:
            assert refusal(talk.rest()) == ("body_too_large", 1008)
    return one.ticket, one.id, said(messages)[:30]


def _ends_with_its_client(running: Server, server: str, upstream: Simulator) -> None:
    with talking(running.url, **_named(f"{server}-left")) as talk:
        talk.say({"request": slow()})
        upstream.in_flight(1)
    upstream.in_flight(0)
    with talking(running.url, **_named(f"{server}-stop")) as talk:
        talk.say({"request": slow()})
        upstream.in_flight(1)
        talk.say({"stop": True})
        assert talk.rest()[0][-1]["data"]["code"] == "stopped"
    upstream.in_flight(0)


def _drains(running: Server, server: str, upstream: Simulator) -> None:
    with talking(running.url) as silent, talking(running.url, **_named(f"{server}-drain")) as talk:
        talk.say({"request": slow()})
        upstream.in_flight(1)
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        heard, code = talk.rest()
        assert [(one["id"], one["data"]["code"]) for one in heard] == [(None, "draining")]
        assert code == 1000
        assert silent.rest()[0] == []
        stopping.join()


def test_a_frame_is_its_message() -> None:
    framed = b'id: 1-2\nevent: delta\ndata: {"text":"a: b\\n\\nid: 9"}\n\n'
    assert json.loads(message(framed)) == {
        "id": "1-2",
        "event": "delta",
        "data": {"text": "a: b\n\nid: 9"},
    }
    assert json.loads(message(framed.partition(b"\n")[2]))["id"] is None
