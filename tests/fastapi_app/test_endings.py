"""Every way in which a stream ends: what its client is told, and the one record of it."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks, Request, Response

from fastapi_app.delivery import deliver
from fastapi_app.routes import api
from shared.auth import ANONYMOUS
from shared.errors import UpstreamRateLimited
from shared.schemas import ChatRequest, Delta, Done
from tests.fastapi_app.serving import DONE, WAIT_S, Gate, Play, PlayedLLM, asking, serving
from tests.fastapi_app.whatwg import parse

Played = AsyncGenerator[Delta | Done, None]
LONG_S = 60
ANSWERED = Done(id="a", model="m", finish_reason="stop")


@contextmanager
def recorded(llm: PlayedLLM, folder: Path, **settings: object) -> Iterator[tuple[int, list[Any]]]:
    """A port, and the records of what was asked there: they are in the list once the server has stopped."""
    path, records = folder / "answers.jsonl", list[Any]()
    with serving(llm, log_path=str(path), **settings) as port:
        yield port, records
    if path.exists():
        records += map(json.loads, path.read_text().splitlines())


def tokens(stream: bytes) -> str:
    return "".join(json.loads(e.data)["text"] for e in parse(stream) if e.name == "delta")


def last(stream: bytes) -> tuple[str, dict[str, Any]]:
    event = parse(stream)[-1]
    return event.name, json.loads(event.data)


# --- the budget


def overrunning(*deltas: tuple[str, ...]) -> Play:
    async def play() -> Played:
        for pieces in deltas:
            yield Delta(pieces, "answer-1", "model-1")
            await asyncio.sleep(0)
        yield ANSWERED

    return play


@pytest.mark.parametrize(
    "deltas",
    [
        [("a", "b"), ("c", "d", "e")],
        [("a", "b", "c"), ("d",)],
        [("a",), ("b",), ("c",), ("d",), ("e",)],
        [("a", "b", "c", "d", "e")],
    ],
)
def test_the_budget_cuts_between_two_tokens(deltas: list[tuple[str, ...]], tmp_path: Path) -> None:
    llm = PlayedLLM(overrunning(*deltas))
    with recorded(llm, tmp_path, max_answer_tokens=3) as (port, records):
        with asking(port) as reading:
            assert reading.head() == 200
            stream = reading.rest()
        assert llm.left.wait(WAIT_S)
    assert tokens(stream) == "abc"
    assert last(stream) == (
        "done",
        {"id": "answer-1", "model": "model-1", "finish_reason": "length", "usage": None},
    )
    [record] = records
    assert (record["outcome"], record["code"], record["tokens"]) == ("over_budget", None, 3)


def test_an_answer_that_just_fits_is_left_alone(tmp_path: Path) -> None:
    llm = PlayedLLM(overrunning(("a", "b"), ("c",)))
    with recorded(llm, tmp_path, max_answer_tokens=3) as (port, records), asking(port) as reading:
        reading.head()
        stream = reading.rest()
    assert tokens(stream) == "abc"
    assert last(stream)[1]["finish_reason"] == "stop"
    assert [record["outcome"] for record in records] == ["finished"]


# --- deadlines


def test_no_first_token_in_time_is_a_504(tmp_path: Path) -> None:
    async def play() -> Played:
        await asyncio.Event().wait()
        yield DONE

    llm = PlayedLLM(play)
    with recorded(llm, tmp_path, first_token_timeout_s=0.1) as (port, records):
        with asking(port) as reading:
            assert reading.head() == 504
            assert reading.json()["error"]["code"] == "first_token_timeout"
        assert llm.left.wait(WAIT_S)
    assert [(r["outcome"], r["code"], r["tokens"]) for r in records] == [
        ("timed_out", "first_token_timeout", 0)
    ]


def test_once_the_wait_is_over_it_is_an_event(tmp_path: Path) -> None:
    async def play() -> Played:
        await asyncio.Event().wait()
        yield DONE

    settings = {"first_token_timeout_s": 0.3, "first_item_wait_s": 0.05}
    with recorded(PlayedLLM(play), tmp_path, **settings) as (port, records), asking(port) as it:
        assert it.head() == 200
        assert last(it.rest())[1]["code"] == "first_token_timeout"
    assert [record["outcome"] for record in records] == ["timed_out"]


def test_a_silence_between_tokens_has_a_limit_of_its_own(tmp_path: Path) -> None:
    async def play() -> Played:
        yield Delta(("one",))
        await asyncio.Event().wait()

    llm = PlayedLLM(play)
    settings = {"first_token_timeout_s": LONG_S, "token_timeout_s": 0.1}
    with recorded(llm, tmp_path, **settings) as (port, records):
        with asking(port) as reading:
            assert reading.head() == 200
            assert last(reading.rest())[1]["code"] == "token_timeout"
        assert llm.left.wait(WAIT_S)
    assert [(r["outcome"], r["tokens"]) for r in records] == [("timed_out", 1)]


def test_tokens_that_keep_coming_are_not_a_silence() -> None:
    async def play() -> Played:
        for _ in range(12):
            await asyncio.sleep(0.04)
            yield Delta(("a",))
        yield DONE

    with serving(PlayedLLM(play), token_timeout_s=0.25) as port, asking(port) as reading:
        reading.head()
        assert last(reading.rest())[0] == "done"


def test_the_whole_answer_has_a_deadline(tmp_path: Path) -> None:
    async def play() -> Played:
        while True:
            yield Delta(("a",))
            await asyncio.sleep(0.02)

    llm = PlayedLLM(play)
    with recorded(llm, tmp_path, answer_timeout_s=0.3) as (port, records):
        with asking(port) as reading:
            reading.head()
            assert last(reading.rest())[1]["code"] == "answer_timeout"
        assert llm.left.wait(WAIT_S)
    assert [record["outcome"] for record in records] == ["timed_out"]


# --- readers


async def floods() -> Played:
    while True:
        yield Delta(("x" * 8192,))
        await asyncio.sleep(0)


def test_a_reader_who_takes_nothing_is_cut(tmp_path: Path) -> None:
    llm = PlayedLLM(floods)
    settings = {"send_timeout_s": 0.3, "token_timeout_s": 0.1}
    with (
        recorded(llm, tmp_path, **settings) as (port, records),
        asking(port, receive_buffer=4096) as reading,
    ):
        started = time.monotonic()
        assert llm.left.wait(WAIT_S)
        assert time.monotonic() - started >= 0.25
        with pytest.raises((ConnectionResetError, AssertionError, ValueError)):
            reading.rest()
    assert [(r["outcome"], r["code"]) for r in records] == [("slow_reader", "slow_reader")]


def test_a_reader_who_takes_a_little_is_not_cut() -> None:
    async def play() -> Played:
        for _ in range(64):
            yield Delta(("#" * 65_536,))
        yield DONE

    with (
        serving(PlayedLLM(play), send_timeout_s=0.5) as port,
        asking(port, receive_buffer=65_536) as reading,
    ):
        reading.head()
        read = bytearray()
        while part := reading.chunk():
            read += part
            time.sleep(0.05)  # slower than the model, quicker than the limit
    assert read.count(b"#") == 64 * 65_536


@pytest.mark.parametrize("tokens_before", [0, 1])
def test_a_reader_who_leaves_is_recorded(tokens_before: int, tmp_path: Path) -> None:
    gate = Gate()

    async def play() -> Played:
        for _ in range(tokens_before):
            yield Delta(("one",))
        await gate.wait()
        yield DONE

    llm = PlayedLLM(play)
    with recorded(llm, tmp_path) as (port, records):
        with asking(port):
            gate.reached()
        assert llm.left.wait(WAIT_S)
    assert [(r["outcome"], r["code"], r["tokens"]) for r in records] == [
        ("cancelled", "client_closed", tokens_before)
    ]


def answered(port: int) -> bool:
    """Whether a stream was had; the slot of the one before is free a moment after its end was read."""
    with asking(port) as reading:
        return reading.head() == 200 and last(reading.rest())[0] == "done"


# --- what is refused, and what is run behind an answer


def test_one_more_than_the_slots_is_refused_and_not_recorded(tmp_path: Path) -> None:
    gate = Gate()

    async def play() -> Played:
        yield Delta(("one",))
        await gate.wait()
        yield DONE

    with recorded(PlayedLLM(play), tmp_path, upstream_connections=1) as (port, records):
        with asking(port) as first:
            first.head()
            with asking(port) as second:
                assert second.head() == 503
                assert second.headers["retry-after"] == "1"
                assert second.json()["error"]["code"] == "overloaded"
            gate.open()
            assert last(first.rest())[0] == "done"
        deadline = time.monotonic() + WAIT_S
        while not answered(port):
            assert time.monotonic() < deadline
    assert [record["outcome"] for record in records] == ["finished", "finished"]


@pytest.fixture
def ran() -> Iterator[list[str]]:
    """What ran behind the answers of GET /with-tasks, a route that lives for one test."""
    ran: list[str] = []

    async def with_tasks(request: Request, tasks: BackgroundTasks, prompt: str) -> Response:
        tasks.add_task(ran.append, prompt)
        return await deliver(ChatRequest(prompt=prompt, stream=True), ANONYMOUS, request)

    api.add_api_route("/with-tasks", with_tasks)
    yield ran
    api.routes.pop()


@pytest.mark.parametrize("ending", ["done", "failure", "refused", "left"])
def test_background_tasks_run_behind_a_finished_answer_only(ending: str, ran: list[str]) -> None:
    gate = Gate()

    async def play() -> Played:
        if ending == "refused":
            raise UpstreamRateLimited
        yield Delta(("one",))
        await gate.wait()
        if ending == "failure":
            raise UpstreamRateLimited
        yield DONE

    llm = PlayedLLM(play)
    with serving(llm) as port, asking(port, path=f"/with-tasks?prompt={ending}") as reading:
        if ending == "left":
            gate.reached()
        elif reading.head() == 200:
            gate.open()
            assert last(reading.rest())[0] == ending
    assert llm.left.wait(WAIT_S)
    assert ran == (["done"] if ending == "done" else [])
