"""POST /chat/sessions, its keys and tickets, over real sockets."""

import socket
from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.apps.exchange import Answer
from tests.fastapi_app.serving import serving
from tests.fastapi_app.session_client import (
    SESSIONS,
    CountedLLM,
    Site,
    frames,
    id_of,
    issued,
    last_id,
    names,
    together,
    until,
)
from tests.fastapi_app.session_server import ANN, instant, record_of, refused
from tests.servers import Server, Simulator

LONG_S = 60
AT_ONCE = 20


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
