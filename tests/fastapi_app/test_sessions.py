"""The session server over real sockets: tickets, streams to come back to, and one upstream request each."""

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fastapi_app import memory
from shared.schemas import Delta
from shared.telemetry import IN_FLIGHT, QUEUED_BYTES, TASKS
from tests.apps.exchange import Answer, Json
from tests.fastapi_app.serving import DONE, WAIT_S, Gate, PlayedLLM, asking, serving
from tests.fastapi_app.session_client import (
    SESSIONS,
    CountedLLM,
    Played,
    Session,
    Site,
    api_keys,
    failure,
    frames,
    gated,
    id_of,
    issued,
    last_id,
    names,
    text,
    together,
    until,
)
from tests.servers import Server, Simulator, app

ANN, BOB = "key-of-ann-never-log-this", "key-of-bob-never-log-this"
KEYS = api_keys(ann=ANN, bob=BOB)
PROMPT = "a-prompt-that-must-stay-private"
GRACE_S = 0.4
LONG_S = 60
AT_ONCE = 20
FAULTS = {
    "401": "upstream_unauthorized",
    "429": "upstream_rate_limited",
    "500": "upstream_unavailable",
    "503": "upstream_unavailable",
    "html": "upstream_protocol",
    "drop": "upstream_unreachable",
}


@pytest.fixture(scope="module")
def server(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "CHAT_API_KEYS": KEYS,
        "CHAT_UPSTREAM_RETRIES": "0",
        "CHAT_RESUME_GRACE_S": str(GRACE_S),
    }
    directory = tmp_path_factory.mktemp("sessions")
    with app("fastapi_app", directory, upstream.base_url, settings) as running:
        yield running


@pytest.fixture
def ann(server: Server) -> Site:
    return Site(server.url, ANN)


@pytest.fixture
def bob(server: Server) -> Site:
    return Site(server.url, BOB)


def instant(fault: str = "none", **more: object) -> Json:
    return {"prompt": PROMPT, "model": f"sim:instant+{fault}", **more}


def slow(**more: object) -> Json:
    """1.2 s to the first token."""
    return {"prompt": PROMPT, "model": "sim:article", **more}


def recorded(log: str) -> list[dict[str, Any]]:
    """The records in it that are written to their end."""
    lines = log.splitlines(keepends=True)
    return [json.loads(one) for one in lines if one.startswith('{"at":') and one.endswith("\n")]


def record_of(server: Server, request_id: str) -> dict[str, Any]:
    """The one record with this id, once it is written."""

    def found() -> list[dict[str, Any]]:
        return [one for one in recorded(server.logged()) if one["request_id"] == request_id]

    [record] = until(found)
    return record


def refused(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    """A refusal, but for its request id and its time."""
    apart = ("x-request-id", "date")
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in apart}
    return answer.status, answer.body.replace(answer.request_id.encode(), b""), headers


# --- tickets are issued


def test_a_session_is_issued(ann: Site) -> None:
    before = datetime.now(UTC)
    answer = ann.post(instant(), X_Request_ID="issued-1")
    body = answer.json()
    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.request_id == "issued-1"
    assert list(body) == ["session_id", "ticket", "stream_url", "expires_at", "expires_in_s"]
    assert body["stream_url"] == f"{SESSIONS}/{body['session_id']}/events?ticket={body['ticket']}"
    assert body["expires_in_s"] == LONG_S
    expires_at = datetime.strptime(body["expires_at"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert LONG_S - 1 < (expires_at - before).total_seconds() < LONG_S + 30
    assert body["expires_at"][-5] == "."
    assert body["expires_at"].endswith("Z")
    assert ann.session(instant()).id != ann.session(instant()).id


@pytest.mark.parametrize("key", [None, "not-a-key"])
def test_without_a_key_nothing_is_issued_and_nothing_stopped(
    server: Server, key: str | None
) -> None:
    stranger = Site(server.url, key)
    assert stranger.post(instant()).status == 401
    assert stranger.ask("DELETE", f"{SESSIONS}/x").status == 401


def test_the_same_key_gets_the_same_session_and_only_the_new_ticket_opens_it(ann: Site) -> None:
    first = ann.post(instant(), Idempotency_Key="same-1")
    second = ann.post(instant(), Idempotency_Key="same-1")
    assert (first.status, second.status) == (201, 200)
    old, new = issued(first), issued(second)
    assert old.id == new.id
    assert old.ticket != new.ticket
    assert ann.ask("GET", old.path).code == "ticket_refused"
    assert names(ann.read(new.path)) == ["done"]


def test_a_key_is_its_users_own(ann: Site, bob: Site) -> None:
    assert (
        ann.session(instant(), Idempotency_Key="own").id
        != bob.session(instant(), Idempotency_Key="own").id
    )


def test_twenty_at_once_with_one_key_are_one_session_bought_once(
    ann: Site, upstream: Simulator, server: Server
) -> None:
    def post() -> Answer:
        return ann.post(instant(), Idempotency_Key="twenty", X_Request_ID="twenty-1")

    answers = together(AT_ONCE, post)
    assert Counter(answer.status for answer in answers) == {201: 1, 200: AT_ONCE - 1}
    assert len({issued(answer).id for answer in answers}) == 1
    opened = [one for one in map(issued, answers) if ann.ask("GET", one.path).status == 200]
    assert len(opened) == 1
    assert upstream.ended("twenty-1")
    assert len(upstream.seen("twenty-1")) == 1
    assert record_of(server, "twenty-1")["outcome"] == "finished"


def test_the_same_key_with_another_request_is_refused(ann: Site) -> None:
    kept = ann.session(instant(), Idempotency_Key="reused")
    answer = ann.post(instant(max_tokens=3), Idempotency_Key="reused")
    assert (answer.status, answer.code) == (422, "key_reused")
    assert names(ann.read(kept.path)) == ["done"], "its ticket is as good as before"


@pytest.mark.parametrize("key", ["", " ", "a b", "a/b", "a" * 129, "a,b", "\xe9", '"a"', "a;b"])
def test_a_malformed_key_is_refused(ann: Site, key: str) -> None:
    answer = ann.post(instant(), Idempotency_Key=key)
    assert (answer.status, answer.code) == (422, "invalid_request")
    [detail] = answer.json()["error"]["details"]
    assert detail["field"] == "Idempotency-Key"


def test_a_key_that_comes_twice_is_none(server: Server) -> None:
    head = (
        f"POST {SESSIONS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ANN}\r\n"
        "Content-Type: application/json\r\nContent-Length: 15\r\nConnection: close\r\n"
        "Idempotency-Key: a\r\nIdempotency-Key: a\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + b'{"prompt": "a"}')
        assert connection.makefile("rb").readline().split()[1] == b"422"


def test_keys_of_every_allowed_form(ann: Site) -> None:
    for key in ("a", "A-Z.a_z-09", "x" * 128):
        assert ann.post(instant(), Idempotency_Key=key).status == 201


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", SESSIONS, "POST"),
        ("PUT", SESSIONS, "POST"),
        ("GET", f"{SESSIONS}/x", "DELETE"),
        ("POST", f"{SESSIONS}/x", "DELETE"),
        ("POST", f"{SESSIONS}/x/events", "GET"),
        ("HEAD", f"{SESSIONS}/x/events", "GET"),
    ],
)
def test_other_methods(ann: Site, method: str, path: str, allow: str) -> None:
    answer = ann.ask(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allow)
    if method != "HEAD":
        assert answer.code == "method_not_allowed"


@pytest.mark.parametrize("path", ["/", "/x/", "/x/events/", "/x/y", "/x/events/y"])
def test_other_paths(ann: Site, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = ann.ask(method, SESSIONS + path)
        assert (answer.status, answer.code) == (404, "not_found"), method


def test_bad_bodies_are_refused_as_those_of_chat(ann: Site) -> None:
    for request in ({}, {"prompt": ""}, {"prompt": "a", "x": 1}, {"prompt": "a", "max_tokens": 0}):
        answers = [ann.ask("POST", path, request) for path in ("/chat", SESSIONS)]
        assert answers[0].but_for_the_id() == answers[1].but_for_the_id()
        assert {answer.status for answer in answers} == {422}


# --- tickets are checked


def test_every_ticket_that_opens_nothing_is_refused_alike(ann: Site, bob: Site) -> None:
    one, two = ann.session(instant()), ann.session(instant())
    of_bob = bob.session(instant())
    replaced = ann.session(instant(), Idempotency_Key="replaced")
    ann.session(instant(), Idempotency_Key="replaced")
    events = f"{SESSIONS}/{one.id}/events"
    paths = [
        events,
        f"{events}?ticket=",
        f"{events}?ticket=x",
        f"{events}?ticket={one.ticket}x",
        f"{events}?ticket={one.ticket[:-1]}",
        f"{events}?ticket={one.ticket.swapcase()}",
        f"{events}?ticket=%00",
        f"{events}?ticket=%ff%fe",
        f"{events}?ticket=%F0%9F%99%82",
        f"{events}?ticket={'x' * 8000}",
        f"{events}?TICKET={one.ticket}",
        f"{events}?ticket={two.ticket}",
        f"{events}?ticket={of_bob.ticket}",
        f"{SESSIONS}/unknown/events?ticket={one.ticket}",
        f"{SESSIONS}/%00/events?ticket={one.ticket}",
        f"{SESSIONS}/{'x' * 4000}/events?ticket={one.ticket}",
        replaced.path,
    ]
    answers = [Site(ann.url).ask("GET", path) for path in paths]
    assert len({str(refused(answer)) for answer in answers}) == 1
    assert (answers[0].status, answers[0].code) == (403, "ticket_refused")


def test_a_ticket_opens_its_stream_again_and_needs_no_key(ann: Site) -> None:
    one = ann.session(instant())
    stream = Site(ann.url).read(one.path)
    assert names(stream) == ["done"]
    middle = id_of(frames(stream)[0])
    assert frames(Site(ann.url).read(one.path, middle)) == frames(stream)[1:]


def test_a_ticket_has_its_time() -> None:
    with serving(CountedLLM("one"), ticket_s=0.3) as port:
        site = Site.local(port)
        posted = site.post(Idempotency_Key="a")
        one = issued(posted)
        assert posted.json()["expires_in_s"] == 0.3
        had = last_id(site.read(one.path))
        assert until(lambda: site.ask("GET", one.at(had)).status == 403)
        again = site.session(Idempotency_Key="a")
        assert again.id == one.id
        assert site.ask("GET", again.at(had)).status == 204


# --- streams


def test_a_stream_is_the_answer(ann: Site) -> None:
    request = instant(max_tokens=40)
    batch = ann.ask("POST", "/chat", request, X_Request_ID="as-batch").json()
    one = ann.session(request, X_Request_ID="as-batch")
    with ann.reading(one.path) as reading:
        assert reading.status == 200
        headers = dict(reading.headers)
        stream = reading.rest()
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert "content-length" not in headers
    assert stream.startswith(b"retry: ")
    assert text(stream) == batch["text"]
    assert names(stream) == ["done"]
    ids = [frame.partition(b"\n")[0].split(b"-") for frame in frames(stream)]
    assert len({epoch for epoch, _ in ids}) == 1
    assert [int(seq) for _, seq in ids] == list(range(1, len(ids) + 1))


def test_from_every_id_the_rest_is_the_same_bytes() -> None:
    words = [f"word {number}" for number in range(12)]
    with serving(CountedLLM(*words), coalesce_tokens=1) as port:
        site = Site.local(port)
        one = site.session()
        whole = frames(site.read(one.path))
        ids = [id_of(frame) for frame in whole]
        assert len(ids) > 5
        for had, event_id in enumerate(ids[:-1], 1):
            assert frames(site.read(one.path, event_id)) == whole[had:]
            assert frames(site.read(one.at(event_id))) == whole[had:]
        assert frames(site.read(one.at(ids[-1]), ids[3])) == whole[4:], "the header wins"
        assert frames(site.read(one.at(ids[3]), "")) == whole[4:], "an empty header says nothing"


def test_who_has_everything_is_told_to_stay_away(ann: Site) -> None:
    one = ann.session(instant(max_tokens=5))
    had = last_id(ann.read(one.path))
    for path, header in ((one.path, had), (one.at(had), None)):
        with ann.reading(path, header) as reading:
            assert reading.status == 204
            assert reading.rest() == b""


@pytest.mark.parametrize("wrong", ["x", "0-0", "1-1", "9" * 400, "-1", "\xff"])
def test_an_unknown_id_is_a_gap_and_the_beginning_is_still_there(ann: Site, wrong: str) -> None:
    one = ann.session(instant(max_tokens=5))
    for stream in (ann.read(one.at(wrong)), ann.read(one.path, wrong)):
        said = failure(stream)
        assert (said["code"], said["retryable"]) == ("gap", True)
        assert b"\nid:" not in stream
    assert names(ann.read(one.path)) == ["done"]


def test_two_at_once_and_a_late_one_read_the_same() -> None:
    llm, gate = gated("one", "two", "three")
    with serving(llm) as port:
        site = Site.local(port)
        one = site.session()
        with site.reading(one.path) as first, site.reading(one.path) as second:
            first.until(b"two")
            second.until(b"two")
            with site.reading(one.path) as late:
                assert text(late.until(b'two"}\n') + b"\n") == "onetwo"
                gate.open()
                streams = [frames(reader.rest()) for reader in (first, second, late)]
    assert streams[0] == streams[1] == streams[2]
    assert len(llm.calls) == 1


def test_readers_at_once_are_answered_by_one_upstream_request(
    ann: Site, upstream: Simulator, server: Server
) -> None:
    one = ann.session(instant(max_tokens=30), X_Request_ID="at-once")
    streams = together(AT_ONCE, lambda: ann.ask("GET", one.path))
    whole = [answer.body for answer in streams if answer.status == 200]
    assert len({bytes(b"".join(frames(stream))) for stream in whole}) == 1
    assert {answer.status for answer in streams} <= {200, 204}
    assert upstream.ended("at-once")
    assert len(upstream.seen("at-once")) == 1
    assert record_of(server, "at-once")["tokens"] == 30


def test_a_client_who_comes_back_in_time_gets_the_rest() -> None:
    llm, gate = gated("one", "two", "three")
    with serving(llm, resume_grace_s=LONG_S) as port:
        site = Site.local(port)
        one = site.session()
        had = b""
        for _ in range(3):
            with site.reading(one.path, last_id(had) if had else None) as reading:
                if not had:
                    had = reading.until(b'two"}\n') + b"\n"
                assert reading.status == 200
        gate.open()
        had += site.read(one.path, last_id(had))
    assert text(had) == "onetwothree"
    assert names(had) == ["done"]
    assert len(llm.calls) == 1


def test_nobody_comes_back(ann: Site, upstream: Simulator, server: Server) -> None:
    one = ann.session(slow(), X_Request_ID="nobody")
    with ann.reading(one.path) as reading:
        assert reading.status == 200
        reading.until(b"retry")
    assert upstream.ended("nobody")["disconnected_ns"]
    record = record_of(server, "nobody")
    assert (record["outcome"], record["code"]) == ("cancelled", "abandoned")
    assert record["duration_ms"] >= GRACE_S * 1000
    said = failure(ann.read(one.path))
    assert (said["code"], said["request_id"]) == ("abandoned", "nobody")
    assert len(upstream.seen("nobody")) == 1


def test_a_reader_keeps_an_answer_alive_beyond_the_grace() -> None:
    llm, gate = gated("one", "two")
    with serving(llm, resume_grace_s=0.1, heartbeat_s=0.1) as port:
        site = Site.local(port)
        with site.reading(site.session().path) as reading:
            for _ in range(3):
                reading.until(b": ping\n")
            gate.open()
            assert names(reading.rest()) == ["done"]


# --- failures


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_before_the_first_token_is_an_event(
    ann: Site, server: Server, fault: str
) -> None:
    one = ann.session(instant(fault), X_Request_ID=f"fault-{fault}")
    stream = ann.read(one.path)
    assert failure(stream)["code"] == FAULTS[fault]
    assert failure(stream)["request_id"] == f"fault-{fault}"
    record = record_of(server, f"fault-{fault}")
    assert (record["outcome"], record["code"]) == ("failed", FAULTS[fault])
    assert Site(ann.url).ask("GET", one.at(last_id(stream))).status == 204


def test_a_failure_midway_comes_behind_what_was_said(ann: Site, server: Server) -> None:
    one = ann.session(instant("drop-mid", max_tokens=40), X_Request_ID="midway")
    stream = ann.read(one.path)
    assert text(stream)
    assert failure(stream)["code"] == "upstream_protocol"
    record = record_of(server, "midway")
    assert (record["outcome"], record["code"]) == ("failed", "upstream_protocol")


def test_the_budget_ends_an_answer(ann: Site, server: Server) -> None:
    one = ann.session(instant("overrun", max_tokens=7), X_Request_ID="budget")
    assert names(ann.read(one.path)) == ["done"]
    record = record_of(server, "budget")
    assert (record["outcome"], record["tokens"]) == ("over_budget", 7)


@pytest.mark.parametrize("said", [0, 2])
def test_what_nobody_foresaw_ends_it_too(said: int, tmp_path: Path) -> None:
    async def play() -> Played:
        for _ in range(said):
            yield Delta(("one",))
        raise RuntimeError(PROMPT)

    records = tmp_path / "answers.jsonl"
    with serving(PlayedLLM(play), log_path=str(records)) as port:
        site = Site.local(port)
        assert failure(site.read(site.session().path))["code"] == "internal"
    [record] = recorded(records.read_text())
    assert (record["outcome"], record["code"], record["tokens"]) == ("failed", "internal", said)


@pytest.mark.parametrize("limit", ["first_token_timeout", "token_timeout", "answer_timeout"])
def test_deadlines_end_it(limit: str, tmp_path: Path) -> None:
    async def play() -> Played:
        if limit != "first_token_timeout":
            yield Delta(("one",))
        await asyncio.Event().wait()

    records = tmp_path / "answers.jsonl"
    settings: Json = {f"{limit}_s": 0.1, "log_path": str(records)}
    with serving(PlayedLLM(play), **settings) as port:
        site = Site.local(port)
        assert failure(site.read(site.session().path))["code"] == limit
    [record] = recorded(records.read_text())
    assert (record["outcome"], record["code"]) == ("timed_out", limit)


# --- readers


def test_a_reader_who_takes_nothing_is_cut_and_holds_up_nobody(tmp_path: Path) -> None:
    gate = Gate()

    async def play() -> Played:
        for number in range(100):
            yield Delta((f"{number:04}" * 15_000,))
            await asyncio.sleep(0)
        await gate.wait()
        yield Delta(("end",))
        yield DONE

    records = tmp_path / "answers.jsonl"
    settings: Json = {"send_timeout_s": 0.4, "replay_bytes": 1 << 25, "log_path": str(records)}
    with serving(PlayedLLM(play), **settings) as port:
        site = Site.local(port)
        one = site.session()
        with asking(port, path=one.path, receive_buffer=4096) as deaf:
            assert deaf.head() == 200
            with site.reading(one.path) as reading:
                had = reading.until(b"0099")
                assert until(lambda: site.gauge(QUEUED_BYTES) == 0, 2 * WAIT_S)
                with pytest.raises((ConnectionResetError, AssertionError, ValueError)):
                    deaf.rest()
                gate.open()
                whole = reading.rest()
        assert len(had) > 5 << 20
        assert text(whole).endswith("end")
        assert frames(site.read(one.path, id_of(frames(whole)[0]))) == frames(whole)[1:]
    assert [record["outcome"] for record in recorded(records.read_text())] == ["finished"]


# --- stop


def test_stop_ends_it_at_once_for_all(tmp_path: Path) -> None:
    llm, _gate = gated("one", "two")
    records = tmp_path / "answers.jsonl"
    with serving(llm, resume_grace_s=LONG_S, log_path=str(records)) as port:
        site = Site.local(port)
        one = site.session(X_Request_ID="stop-1")
        with site.reading(one.path) as first, site.reading(one.path) as second:
            first.until(b"one")
            second.until(b"one")
            answer = site.ask("DELETE", f"{SESSIONS}/{one.id}")
            assert (answer.status, answer.body) == (204, b"")
            assert llm.left.wait(WAIT_S)
            for reading in (first, second):
                said = failure(reading.rest())
                assert (said["code"], said["retryable"]) == ("stopped", False)
        assert site.ask("DELETE", f"{SESSIONS}/{one.id}").status == 204
        assert until(lambda: site.gauge(IN_FLIGHT) == 0)
    [record] = recorded(records.read_text())
    assert (record["outcome"], record["code"], record["tokens"]) == ("cancelled", "stopped", 1)


def test_a_session_that_is_stopped_before_it_is_read_is_never_made() -> None:
    llm = CountedLLM("one")
    with serving(llm) as port:
        site = Site.local(port)
        one = site.session()
        site.ask("DELETE", f"{SESSIONS}/{one.id}")
        assert failure(site.read(one.path))["code"] == "stopped"
    assert llm.calls == []


def test_a_finished_answer_stays_finished_when_it_is_stopped(ann: Site) -> None:
    one = ann.session(instant(max_tokens=5))
    whole = frames(ann.read(one.path))
    assert ann.ask("DELETE", f"{SESSIONS}/{one.id}").status == 204
    first = id_of(whole[0])
    assert frames(ann.read(one.path, first)) == whole[1:]


def test_only_its_user_stops_a_session(ann: Site, bob: Site) -> None:
    one = ann.session(instant())
    stolen, unknown = (bob.ask("DELETE", f"{SESSIONS}/{i}") for i in (one.id, "unknown"))
    assert stolen.status == unknown.status == 404
    assert stolen.but_for_the_id() == unknown.but_for_the_id()
    assert Site(ann.url).ask("DELETE", f"{SESSIONS}/{one.id}?ticket={one.ticket}").status == 401
    assert names(ann.read(one.path)) == ["done"]


# --- limits


def test_a_session_is_charged_once() -> None:
    with serving(CountedLLM("one"), rate_limit="2/hour") as port:
        site = Site.local(port)
        one = site.session(Idempotency_Key="a")
        again = [site.post(Idempotency_Key="a") for _ in range(3)]
        assert {issued(answer).id for answer in again} == {one.id}
        stream = site.read(issued(again[-1]).path)
        assert site.read(issued(again[-1]).path, id_of(frames(stream)[0]))
        assert site.post({"prompt": "else"}, Idempotency_Key="a").code == "key_reused"
        assert site.post(Idempotency_Key="b").status == 201
        for key in ("c", "c"):
            denied = site.post(Idempotency_Key=key)
            assert (denied.status, denied.code) == (429, "rate_limited")
            assert int(denied.headers["Retry-After"]) > 0
        assert site.post(Idempotency_Key="b").status == 200


def test_too_many_answers_of_a_user_can_be_opened_later() -> None:
    llm, gate = gated("one", "two")
    with serving(llm, user_answers=1) as port:
        site = Site.local(port)
        one, two = site.session(), site.session()
        with site.reading(one.path) as reading:
            reading.until(b"one")
            denied = site.ask("GET", two.path)
            assert (denied.status, denied.code) == (429, "too_many_answers")
            assert denied.headers["Retry-After"] == "1"
            with site.reading(one.path) as another:
                assert another.status == 200, "it is one answer, however many read it"
            gate.open()
            assert names(reading.rest()) == ["done"]
        assert until(lambda: site.gauge(IN_FLIGHT) == 0)
        assert names(site.read(two.path)) == ["done"]


def test_without_a_slot_it_can_be_opened_later() -> None:
    llm, gate = gated("one", "two")
    with serving(llm, upstream_connections=1) as port:
        site = Site.local(port)
        one, two = site.session(), site.session()
        with site.reading(one.path) as reading:
            reading.until(b"one")
            denied = site.ask("GET", two.path)
            assert (denied.status, denied.code) == (503, "overloaded")
            assert denied.headers["Retry-After"] == "1"
            with site.reading(one.path) as another:
                assert another.status == 200, "it has its slot already"
            gate.open()
            reading.rest()
        assert until(lambda: site.gauge(IN_FLIGHT) == 0)
        assert names(site.read(two.path)) == ["done"]


def test_who_was_denied_is_no_reader() -> None:
    llm, _gate = gated("one", "two")
    with serving(llm, upstream_connections=1, resume_grace_s=0.1) as port:
        site = Site.local(port)
        one, two = site.session(), site.session()
        with site.reading(one.path) as reading:
            reading.until(b"one")
            assert site.ask("GET", two.path).status == 503
        assert until(lambda: site.gauge(IN_FLIGHT) == 0)
        with site.reading(two.path) as reading:
            reading.until(b"one")
        assert until(lambda: llm.closed == 2)


def test_sessions_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_SESSIONS", 2)
    with serving(CountedLLM("one"), session_s=0.3) as port:
        site = Site.local(port)
        site.session(Idempotency_Key="a")
        site.session()
        denied = site.post()
        assert (denied.status, denied.code) == (503, "overloaded")
        assert site.post(Idempotency_Key="a").status == 200
        assert until(lambda: site.post().status == 201)


def test_a_session_is_forgotten() -> None:
    with serving(CountedLLM("one"), session_s=0.3) as port:
        site = Site.local(port)
        one = site.session(Idempotency_Key="a")
        had = last_id(site.read(one.path))
        assert until(lambda: site.ask("GET", one.at(had)).status == 403)
        assert site.ask("DELETE", f"{SESSIONS}/{one.id}").status == 404
        assert site.session({"prompt": "else"}, Idempotency_Key="a").id != one.id


def test_a_session_with_a_reader_is_not_forgotten() -> None:
    llm, gate = gated("one", "two")
    with serving(llm, session_s=0.2, heartbeat_s=0.2) as port:
        site = Site.local(port)
        one = site.session()
        with site.reading(one.path) as reading:
            for _ in range(3):
                reading.until(b": ping\n")
            site.session()
            with site.reading(one.path) as another:
                assert another.status == 200
            gate.open()
            assert names(reading.rest()) == ["done"]


def test_a_history_that_is_too_long_is_a_gap() -> None:
    llm, gate = gated("one", "x" * 500, "two")
    with serving(llm, replay_bytes=200) as port:
        site = Site.local(port)
        one = site.session()
        with site.reading(one.path) as reading:
            first = reading.until(b'one"}\n') + b"\n"
            reading.until(b"x" * 500)
            stream = site.ask("GET", one.at(last_id(first)))
            assert failure(stream.body)["code"] == "gap"
            gate.open()
            assert text(reading.rest()).endswith("two")


# --- off


def test_sessions_can_be_switched_off() -> None:
    with serving(CountedLLM("one"), resumable=False) as port:
        site = Site.local(port)
        for method, path in (("POST", ""), ("DELETE", "/x"), ("GET", "/x/events?ticket=x")):
            answer = site.ask(method, SESSIONS + path, {"prompt": "a"})
            assert (answer.status, answer.code) == (404, "not_found")


# --- what is left


def test_nothing_is_left_of_sessions_that_were_dropped() -> None:
    llm, _gate = gated("one", "two")
    with serving(llm, resume_grace_s=0.05, log_path="") as port:
        site = Site.local(port)

        def drop() -> None:
            for _ in range(30):
                with site.reading(site.session().path) as reading:
                    assert reading.status == 200

        site.ask("GET", "/metrics")
        tasks = site.gauge(TASKS)
        together(10, drop)
        assert until(lambda: site.gauge(IN_FLIGHT) == 0)
        assert until(lambda: site.gauge(TASKS) <= tasks)
        assert site.gauge(QUEUED_BYTES) == 0
        assert len(llm.calls) == llm.closed


# --- the end of a worker


def test_a_drain_ends_a_stream_once_and_is_recorded_once(
    upstream: Simulator, tmp_path: Path
) -> None:
    settings = {"CHAT_DRAIN_GRACE_S": "0.2"}
    with app("fastapi_app", tmp_path, upstream.base_url, settings) as running:
        site = Site(running.url)
        one = site.session(slow(), X_Request_ID="drained")
        unread = site.session(slow())
        with site.reading(one.path) as reading:
            assert b"retry" in reading.until(b"retry")
            stopping = threading.Thread(target=running.stop)
            stopping.start()
            until(lambda: site.ask("GET", "/readyz").status == 503)
            denied = site.ask("GET", unread.path), site.post(slow())
            assert [(one.status, one.code) for one in denied] == [(503, "draining")] * 2
            stream = reading.rest()
            stopping.join()
    assert failure(stream)["code"] == "draining"
    assert failure(stream)["retryable"]
    assert b"\nid:" not in stream
    assert running.process.returncode == 0
    [record] = recorded(running.logged())
    assert (record["request_id"], record["outcome"]) == ("drained", "drained")
    assert upstream.ended("drained")["disconnected_ns"]


# --- logs


def test_no_log_has_a_secret(ann: Site, server: Server) -> None:
    one = ann.session(instant(max_tokens=50), Idempotency_Key="private-key")
    said = text(ann.read(one.path))
    ann.ask("GET", one.at("x"))
    ann.ask("POST", one.path)
    ann.ask("GET", f"{one.path}&ticket=x")
    bad: Session = ann.session(instant("429"))
    ann.read(bad.path)
    log = server.logged()
    assert recorded(log)
    for secret in (one.ticket, bad.ticket, one.id, PROMPT, ANN, BOB, "private-key", said[:30]):
        assert secret not in log
    assert "Traceback" not in log


# --- another server


def test_with_gunicorn(upstream: Simulator, tmp_path: Path) -> None:
    settings = {"CHAT_RESUME_GRACE_S": str(GRACE_S), "CHAT_DRAIN_GRACE_S": "0.2"}
    with app(
        "fastapi_app", tmp_path, upstream.base_url, settings, ("--server", "gunicorn")
    ) as running:
        site = Site(running.url)
        one = site.session(instant(max_tokens=20), X_Request_ID="gunicorn-1")
        whole = frames(site.read(one.path))
        first = id_of(whole[0])
        assert frames(site.read(one.path, first)) == whole[1:]
        assert site.ask("GET", one.at(id_of(whole[-1]))).status == 204
        assert site.ask("GET", f"{one.path}x").code == "ticket_refused"
        stopped = site.session(slow(), X_Request_ID="gunicorn-2")
        with site.reading(stopped.path) as reading:
            reading.until(b"retry")
            assert site.ask("DELETE", f"{SESSIONS}/{stopped.id}").status == 204
            assert failure(reading.rest())["code"] == "stopped"
        with site.reading(site.session(slow(), X_Request_ID="gunicorn-3").path) as reading:
            reading.until(b"retry")
        assert upstream.ended("gunicorn-3")["disconnected_ns"]
        with site.reading(site.session(slow(), X_Request_ID="gunicorn-4").path) as reading:
            reading.until(b"retry")
            stopping = threading.Thread(target=running.stop)
            stopping.start()
            assert failure(reading.rest())["code"] == "draining"
            stopping.join()
    assert running.process.returncode == 0
    codes = {one["request_id"]: one["code"] for one in recorded(running.logged())}
    assert codes == {
        "gunicorn-1": None,
        "gunicorn-2": "stopped",
        "gunicorn-3": "abandoned",
        "gunicorn-4": "draining",
    }
    assert one.ticket not in running.logged()
