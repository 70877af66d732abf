"""One record an answer, in both stacks: who, what, how it ended and what it cost; and the gauges beside it."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apps.exchange import post, send
from tests.conftest import APPS, Stack
from tests.servers import Server, Simulator, app

Record = dict[str, Any]
WAIT_S = 5.0
KEY = "key-of-ada"
PROMPT = "a-prompt-that-must-stay-private"


@pytest.fixture(scope="module", params=APPS)
def kept(
    request: pytest.FixtureRequest, upstream: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    """An app whose records go to a file and to a database, and the folder of both."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = {
        "CHAT_API_KEYS": f"ada:{hashlib.sha256(KEY.encode()).hexdigest()}",
        "CHAT_UPSTREAM_RETRIES": "0",
        "CHAT_ANSWER_TIMEOUT_S": "1",
        "CHAT_LOG_PATH": str(folder / "answers.jsonl"),
        "CHAT_LOG_SQLITE": str(folder / "answers.db"),
    }
    with app(request.param, folder, upstream.base_url, settings) as server:
        yield server, folder


def asked(kept: tuple[Server, Path], request_id: str, **request: object) -> list[Record]:
    """Asks, and returns the records of this id as the file and the database have them, once both have one."""
    server, folder = kept
    headers = {"X-Request-ID": request_id, "Authorization": f"Bearer {KEY}"}
    post(server.url, {"prompt": PROMPT, **request}, headers)
    return eventually(lambda: [*lines(folder, request_id), *rows(folder, request_id)], 2)


def eventually(found: Callable[[], list[Record]], count: int) -> list[Record]:
    deadline = time.monotonic() + WAIT_S
    while len(records := found()) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return records


def lines(folder: Path, request_id: str) -> list[Record]:
    path = folder / "answers.jsonl"
    written = path.read_text().splitlines() if path.exists() else []
    return [record for line in written if (record := json.loads(line))["request_id"] == request_id]


def rows(folder: Path, request_id: str) -> list[Record]:
    connection = sqlite3.connect(folder / "answers.db")
    connection.row_factory = sqlite3.Row
    try:
        found = connection.execute("SELECT * FROM answers WHERE request_id = ?", [request_id])
        return [dict(row) for row in found]
    except sqlite3.OperationalError:
        return []  # there is no table yet
    finally:
        connection.close()


def test_an_answer_has_one_record_in_both_places(kept: tuple[Server, Path]) -> None:
    line, row = asked(kept, "a-1", model="sim:instant")
    assert line == row
    assert (line["user"], line["model"], line["kind"]) == ("ada", "sim:instant", "batch")
    assert (line["stack"], line["outcome"], line["code"]) == (kept[0].name, "finished", None)
    assert line["tokens"] == 500
    assert line["bytes"] > 1000
    assert line["duration_ms"] > 0


@pytest.mark.parametrize(
    ("model", "outcome", "code"),
    [
        ("sim:instant+500", "failed", "upstream_unavailable"),
        ("sim:instant+malformed", "failed", "upstream_protocol"),
        ("sim:instant+stall", "timed_out", "answer_timeout"),
    ],
)
def test_a_failure_has_its_code(
    kept: tuple[Server, Path], model: str, outcome: str, code: str
) -> None:
    line, row = asked(kept, f"f-{code}", model=model)
    assert line == row
    assert (line["outcome"], line["code"], line["tokens"]) == (outcome, code, 0)


def test_what_was_refused_before_it_began_has_none(kept: tuple[Server, Path]) -> None:
    server, folder = kept
    for headers, request in (({}, {"prompt": "hi"}), ({"Authorization": f"Bearer {KEY}"}, {})):
        post(server.url, request, {**headers, "X-Request-ID": "refused"})
    asked(kept, "after", model="sim:instant")
    assert lines(folder, "refused") == rows(folder, "refused") == []


def test_no_prompt_and_no_key_is_kept(kept: tuple[Server, Path]) -> None:
    assert asked(kept, "private", model="sim:instant")
    for path in kept[1].glob("answers.*"):
        assert PROMPT.encode() not in path.read_bytes()
        assert KEY.encode() not in path.read_bytes()


def test_a_model_s_name_forges_no_line(kept: tuple[Server, Path]) -> None:
    forged = 'm\n{"request_id":"forged"}\r\u2028'
    line, row = asked(kept, "forger", model=forged)
    assert line["model"] == row["model"] == forged
    assert lines(kept[1], "forged") == []


def test_a_stream_s_record_has_its_first_token(streaming: Stack) -> None:
    post(streaming.url, {"prompt": "hi", "stream": True}, {"X-Request-ID": "s-1"})
    log = streaming.app.logs('"request_id":"s-1"')
    [record] = [json.loads(line) for line in log.splitlines() if '"s-1"' in line]
    assert (record["kind"], record["outcome"], record["tokens"]) == ("stream", "finished", 500)
    assert 0 < record["first_token_ms"] <= record["duration_ms"]


def test_the_gauges(stack: Stack) -> None:
    answer = send(stack.url, "GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    pairs = [line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if line[0] != "#"]
    gauges = {name: float(value) for name, value in pairs}
    assert gauges["chat_answers_in_flight"] == 0
    assert gauges["process_open_fds"] > 3
    assert gauges["process_resident_memory_bytes"] > 2**20
    assert ("chat_queued_bytes" in gauges) == (stack.name == "fastapi_app")
