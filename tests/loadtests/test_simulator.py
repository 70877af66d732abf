"""The simulator over real sockets: the same answer in both modes, at its deadlines, told truly afterwards."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from loadtests.profiles import CHATTY, INSTANT, PRODUCTION, write_script
from loadtests.provoking.upstream import get
from tests.servers import Simulator, simulator

from .exchange import ask, body, chat, content, events

MS = 1_000_000
SEED = 7


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("simulator"), "--seed", str(SEED)) as server:
        yield server


def stats(server: Simulator, query: str = "") -> dict[str, Any]:
    value: dict[str, Any] = json.loads(get(server.url, f"/control/stats{query}"))
    return value


def test_the_official_sdk_reads_both_modes_and_finds_the_same_answer(running: Simulator) -> None:
    messages: Any = [{"role": "user", "content": "Grüß Gott 🎉"}]
    options: dict[str, Any] = {
        "model": "sim",
        "messages": messages,
        "extra_headers": {"X-Request-ID": "sdk-1"},
    }
    with OpenAI(base_url=running.base_url, api_key="none", max_retries=0) as client:
        whole = client.chat.completions.create(**options)
        with client.chat.completions.create(
            **options, stream=True, stream_options={"include_usage": True}
        ) as stream:
            chunks = list(stream)
        names = [model.id for model in client.models.list()]
    script = write_script(SEED, "sdk-1", INSTANT, "user: Grüß Gott 🎉")
    deltas = [chunk.choices[0] for chunk in chunks if chunk.choices]
    texts = [choice.delta.content for choice in deltas if choice.delta.content]
    assert whole.choices[0].message.content == "".join(texts) == script.text
    assert texts == list(script.pieces)
    assert {chunk.id for chunk in chunks} == {whole.id} == {"chatcmpl-sdk-1"}
    assert deltas[-1].finish_reason == whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert chunks[-1].usage == whole.usage
    assert whole.usage.completion_tokens == len(script.pieces)
    assert {"sim", "sim:article"} <= set(names)


@pytest.mark.parametrize("stream", [True, False])
def test_a_limit_ends_the_answer_with_length(running: Simulator, stream: bool) -> None:
    reply = ask(running.port, chat(f"limit-{stream}", stream=stream, max_tokens=3))
    script = write_script(SEED, f"limit-{stream}", INSTANT, "user: hello", 3)
    assert content(reply) == (script.text, "length")


def test_a_stream_has_usage_only_when_it_is_asked_for(running: Simulator) -> None:
    plain = events(ask(running.port, chat("usage-1", stream=True)))
    asked = events(
        ask(running.port, chat("usage-2", stream=True, stream_options={"include_usage": True}))
    )
    assert not any("usage" in json.loads(event) for event in plain[:-1])
    assert json.loads(asked[-2])["usage"]["completion_tokens"] == 500
    assert plain[-1] == asked[-1] == b"[DONE]"


def test_pipelined_requests_are_answered_in_order_on_one_connection(running: Simulator) -> None:
    requests = [chat(f"pipe-{n}", stream=n % 2 == 0, max_tokens=2) for n in range(4)]
    replies = ask(running.port, *requests, replies=4)
    assert [f"chatcmpl-pipe-{n}".encode() in replies for n in range(4)] == [True] * 4
    positions = [replies.index(f"chatcmpl-pipe-{n}".encode()) for n in range(4)]
    assert positions == sorted(positions)


async def test_tokens_arrive_at_their_deadlines_and_the_timeline_says_so(
    running: Simulator,
) -> None:
    script = write_script(SEED, "paced-1", PRODUCTION, "user: hello", 150)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    sent_ns = time.monotonic_ns()
    writer.write(chat("paced-1", model="sim:production", stream=True, max_tokens=150))
    arrivals = []
    while (line := await reader.readline()) != b"data: [DONE]\n":
        if b'"content"' in line and b'"role"' not in line:
            arrivals.append(time.monotonic_ns())
    writer.close()
    entry = running.ended("paced-1")
    errors_ms = [
        (at - sent_ns - due) / MS for at, due in zip(arrivals, script.offsets_ns, strict=True)
    ]
    written = [entry["received_ns"] + us * 1000 for us in entry["token_us"]]
    assert sorted(errors_ms)[len(errors_ms) // 2] < 5
    assert min(errors_ms) >= 0
    assert all(left <= came for left, came in zip(written, arrivals, strict=True))
    assert entry["token_chars"] == [len(piece) for piece in script.pieces]
    assert (entry["tokens"], entry["planned"], entry["disconnected_ns"]) == (150, 150, None)
    assert entry["first_ns"] // 1000 == written[0] // 1000 or entry["first_ns"] - written[0] < 1000


def test_a_whole_answer_comes_at_the_deadline_of_its_last_token(running: Simulator) -> None:
    started = time.monotonic_ns()
    ask(running.port, chat("whole-1", model="sim:production", max_tokens=100))
    took_ms = (time.monotonic_ns() - started) / MS
    script = write_script(SEED, "whole-1", PRODUCTION, "user: hello", 100)
    entry = running.ended("whole-1")
    assert took_ms >= script.offsets_ns[-1] / MS
    assert entry["first_ns"] - entry["received_ns"] == script.offsets_ns[0]
    assert 0 <= entry["last_ns"] - entry["received_ns"] - script.offsets_ns[-1] < 100 * MS
    assert (entry["stream"], entry["tokens"], entry["token_us"]) == (False, 100, [])


@pytest.mark.parametrize("stream", [True, False])
def test_a_pause_comes_after_half_of_the_tokens(running: Simulator, stream: bool) -> None:
    request_id, pause_ns = f"paused-{stream}", 150 * MS
    model = "sim:instant+pause-0.15"
    reply = ask(running.port, chat(request_id, model=model, stream=stream, max_tokens=9))
    script = write_script(SEED, request_id, INSTANT, "user: hello", 9)
    entry = running.ended(request_id)
    assert content(reply) == (script.text, "length")
    assert entry["tokens"] == 9
    assert pause_ns <= entry["last_ns"] - entry["received_ns"] < pause_ns + 1000 * MS
    stamps_ns = [us * 1000 for us in entry["token_us"]]
    gaps = [after - before >= pause_ns * 0.9 for before, after in pairwise(stamps_ns)]
    assert gaps == ([False] * 3 + [True] + [False] * 4 if stream else [])


def test_who_leaves_in_a_pause_had_what_was_before_it(running: Simulator) -> None:
    request = chat("left-in-pause", model="sim:instant+pause-60", stream=True, max_tokens=8)
    script = write_script(SEED, "left-in-pause", INSTANT, "user: hello", 8)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
        client.sendall(request)
        received = b""
        while received.count(b"data: ") < 5:  # who speaks, and four tokens
            received += client.recv(65536)
    entry = running.ended("left-in-pause")
    assert (entry["tokens"], entry["planned"], entry["tokens_after_disconnect"]) == (4, 8, 0)
    texts = [json.loads(event)["choices"][0]["delta"]["content"] for event in events(received)]
    assert "".join(texts) == "".join(script.pieces[:4])


async def test_generation_stops_when_the_reader_leaves(running: Simulator) -> None:
    stats(running, "?reset=1")
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(chat("leaver-1", model="sim:production", stream=True))
    for _ in range(40):
        await reader.readline()
    left_ns = time.monotonic_ns()
    writer.transport.abort()
    entry = await asyncio.to_thread(running.ended, "leaver-1")
    assert 5 <= entry["tokens"] == len(entry["token_us"]) < entry["planned"]
    assert 0 <= entry["disconnected_ns"] - left_ns < 500 * MS
    assert entry["tokens_after_disconnect"] == stats(running)["tokens_after_disconnect"] <= 5
    assert stats(running)["in_flight"] == 0


async def test_a_batch_reader_that_leaves_stops_generation_too(running: Simulator) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(chat("leaver-2", model="sim:production"))
    await asyncio.to_thread(running.in_flight, 1)
    writer.transport.abort()
    entry = await asyncio.to_thread(running.ended, "leaver-2")
    assert entry["disconnected_ns"] is not None
    assert entry["tokens"] < entry["planned"] == 2100


async def test_a_slow_reader_gets_every_token_late_and_it_is_no_miss(tmp_path: Path) -> None:
    tokens = 300
    script = write_script(SEED, "slow-1", PRODUCTION, "user: hello", tokens)
    with simulator(tmp_path, "--send-buffer", "4096") as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(chat("slow-1", model="sim:production", stream=True, max_tokens=tokens))
        # Nothing can be awaited: what is tested is that deadlines go by while nobody reads.
        await asyncio.sleep(script.offsets_ns[-1] / 1e9 + 0.5)
        assert stats(server)["in_flight"] == 1
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += client.recv(65536)
        entry, counted = server.ended("slow-1"), stats(server)
    assert content(received) == (script.text, "length")
    assert entry["tokens"] == tokens
    assert entry["token_us"][-1] * 1000 - script.offsets_ns[-1] > 400 * MS
    assert 0 < counted["deadline_miss_ms"]["n"] < tokens
    assert counted["deadline_miss_ms"]["max"] < 300


async def test_beyond_capacity_answers_wait_in_order(tmp_path: Path) -> None:
    with simulator(tmp_path, "--capacity", "1") as server:
        requests = [chat(f"queue-{n}", model="sim:production", max_tokens=20) for n in range(3)]
        await asyncio.gather(*(asyncio.to_thread(ask, server.port, one) for one in requests))
        entries = [server.ended(f"queue-{n}") for n in range(3)]
    entries.sort(key=lambda entry: float(entry["queued_ns"]))
    generation_ns = write_script(SEED, "queue-0", PRODUCTION, "user: hello", 20).offsets_ns[-1]
    assert entries[0]["queued_ns"] == 0
    assert [entry["queued_ns"] // (generation_ns * 4 // 5) for entry in entries] == [0, 1, 2]


def test_a_prefix_is_cached_for_all_but_the_request_that_brought_it(running: Simulator) -> None:
    prompt = "You are a helpful assistant. " * 20
    for request_id in ("prefix-1", "prefix-2"):
        ask(running.port, chat(request_id, prompt, model="sim:chatty", max_tokens=1))
    ask(running.port, chat("prefix-1", prompt, model="sim:chatty", max_tokens=1))
    running.ended("prefix-1")
    cached = [entry["cached_tokens"] for entry in running.seen("prefix-1")]
    assert cached == [0, 0]
    assert running.ended("prefix-2")["cached_tokens"] == CHATTY.prefix_tokens


@pytest.mark.parametrize(
    ("payload", "status", "says"),
    [
        (b"{", 400, "Bad request body"),
        (b"[]", 400, "Bad request body"),
        (b'{"model": "sim"}', 400, "messages"),
        (b'{"model": "sim", "messages": []}', 400, "messages"),
        (b'{"model": 5, "messages": [{"role": "user"}]}', 400, "model"),
        (b'{"model": "sim", "messages": [{"role": "user"}], "max_tokens": 0}', 400, "limit"),
        (b'{"model": "sim:fast", "messages": [{"role": "user"}]}', 404, "sim:fast"),
        (b'{"model": "sim+smoke", "messages": [{"role": "user"}]}', 404, "sim+smoke"),
        (b"\xff\xfe", 400, "Bad request body"),
    ],
)
def test_bad_requests_have_openais_error_body(
    running: Simulator, payload: bytes, status: int, says: str
) -> None:
    reply = ask(running.port, body("bad-1", payload))
    assert reply.startswith(b"HTTP/1.1 %d " % status)
    assert says in json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["message"]


@pytest.mark.parametrize(
    "pause", ["0", "0.0", "3600.1", "9999", "", "-1", "1e3", "nan", "inf", "1_0", " 1", "\u0661"]
)
def test_what_is_no_pause_is_an_unknown_model(running: Simulator, pause: str) -> None:
    reply = ask(running.port, chat("bad-pause", model=f"sim:instant+pause-{pause}", max_tokens=2))
    assert reply.startswith(b"HTTP/1.1 404 ")
    assert b"pause-SECONDS" in reply


def test_what_is_not_http_is_refused_and_the_rest_goes_on(running: Simulator) -> None:
    assert ask(running.port, b"EHLO example.org\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ask(running.port, b"GET /nowhere HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 ")
    assert stats(running)["in_flight"] == 0


def test_a_port_in_use_is_named(running: Simulator) -> None:
    command = [sys.executable, "-m", "loadtests", "simulate", "--port", str(running.port)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert str(running.port) in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_to_even_with_a_stream_open(
    tmp_path: Path, number: signal.Signals
) -> None:
    with (
        simulator(tmp_path, profile="article") as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        client.sendall(chat("open-1", stream=True))
        server.in_flight(1)
        server.process.send_signal(number)
        assert server.process.wait(5) == 0
        assert "Traceback" not in server.logged()
