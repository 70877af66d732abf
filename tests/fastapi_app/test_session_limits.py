"""What sessions may cost, and what is left of them: places, sizes, times, drains, logs."""

import threading
from pathlib import Path

import pytest

from fastapi_app import memory
from shared.telemetry import IN_FLIGHT, QUEUED_BYTES, TASKS
from tests.fastapi_app.serving import serving
from tests.fastapi_app.session_client import (
    SESSIONS,
    CountedLLM,
    Session,
    Site,
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
from tests.fastapi_app.session_server import ANN, BOB, GRACE_S, PROMPT, instant, recorded, slow
from tests.servers import Server, Simulator, app

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
