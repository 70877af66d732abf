"""Streams to come back to, over real sockets: one upstream request each, however many read."""

import asyncio
from pathlib import Path

import pytest

from shared.schemas import Delta
from shared.telemetry import IN_FLIGHT, QUEUED_BYTES
from tests.apps.exchange import Json
from tests.fastapi_app.serving import DONE, WAIT_S, Gate, PlayedLLM, asking, serving
from tests.fastapi_app.session_client import (
    SESSIONS,
    CountedLLM,
    Played,
    Site,
    failure,
    frames,
    gated,
    id_of,
    last_id,
    names,
    text,
    together,
    until,
)
from tests.fastapi_app.session_server import GRACE_S, PROMPT, instant, record_of, recorded, slow
from tests.servers import Server, Simulator

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
