"""The records of answers: each of them once, on a whole line and in a row, whatever happens to the places."""

import asyncio
import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import sinks, streamlog
from shared.errors import AnswerTimeout, InternalError, SlowReader
from shared.record import Kind, Outcome, Record
from shared.streamlog import Entry, StreamLog

ROOT = Path(__file__).parents[2]
PAUSE_S = 0.005
EXIT_S = 20.0
HOSTILE = [
    "a\r\nb",
    "\x00",
    '"}\n{"user":"root"}',
    "\u2028\u2029\x85",
    "\x1b[2J\x9b2J",
    "\ud800x",
    "é",
]
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates, too
MS = st.floats(0, 1e9).map(lambda value: round(value, 3))
RECORDS = st.builds(
    Record,
    at=st.just("2026-01-01T00:00:00.000Z"),
    request_id=ANY_TEXT,
    stack=st.just("fastapi_app"),
    user=ANY_TEXT,
    model=ANY_TEXT,
    kind=st.sampled_from(get_args(Kind)),
    outcome=st.sampled_from(get_args(Outcome)),
    code=st.none() | ANY_TEXT,
    tokens=st.integers(-(2**70), 2**70),
    first_token_ms=st.none() | MS,
    duration_ms=MS,
    bytes=st.integers(-(2**70), 2**70),
)

# Forks, before its first record or BEHIND it, writes COUNT records in each process, and just exits.
PROGRAM = """
import os, sys
from pathlib import Path
from shared.streamlog import StreamLog

name, path, sqlite, count, forks, behind = sys.argv[1:]
log = StreamLog("fastapi_app", path, Path(sqlite) if sqlite else None)
end = lambda key: log.begin(request_id=key, user="u" * 64, model="m" * 128, kind="stream").end("finished")
fork = None
for number in range(int(forks)):
    if behind:
        end(f"{name}-before-{number}")
    if not os.fork():
        name, fork = f"{name}-{number}", number
        break
for number in range(int(count)):
    end(f"{name}-{number}")
if fork is None:
    for _ in range(int(forks)):
        assert os.wait()[1] == 0
"""

# The file may grow to LIMIT bytes; the limit is lifted when a line comes on stdin.
FILLING_DISK = """
import resource, sys
from shared.streamlog import StreamLog

limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), limits[1]))
log = StreamLog("fastapi_app", sys.argv[1])
for number in range(20):
    log.begin(request_id=f"r-{number}", user="u", model="m", kind="batch").end("finished")
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "answers.sqlite"


def begin(log: StreamLog, request_id: str = "r-1", user: str = "team", model: str = "m") -> Entry:
    return log.begin(request_id=request_id, user=user, model=model, kind="stream")


def end(log: StreamLog, *request_ids: str) -> None:
    for request_id in request_ids:
        begin(log, request_id).end("finished")


def ids(count: int, name: str = "r") -> list[str]:
    return [f"{name}-{number}" for number in range(count)]


def lines(path: Path) -> list[dict[str, Any]]:
    """What each line of the file says; a line that is not whole is an error."""
    return parsed(path.read_bytes())


def parsed(data: bytes) -> list[dict[str, Any]]:
    assert data == b"" or data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def rows(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM answers ORDER BY rowid")]


def has_rows(path: Path, count: int) -> bool:
    with suppress(sqlite3.OperationalError):  # no table yet
        return path.exists() and len(rows(path)) == count
    return False


def keys(records: Sequence[dict[str, Any]]) -> list[str]:
    return [record["request_id"] for record in records]


def each_once(records: Sequence[dict[str, Any]], expected: Sequence[str]) -> bool:
    return Counter(keys(records)) == Counter(expected)


def await_that(holds: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(PAUSE_S)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [entry for entry in caplog.records if entry.name == streamlog.__name__]
    return [entry.getMessage() for entry in found if entry.levelno >= logging.ERROR]


@contextmanager
def child(
    program: str, *arguments: object, stdout: int | IO[bytes] = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


# What a record says


def test_a_record_has_its_fields_on_the_line_and_in_the_row(file: Path, database: Path) -> None:
    log = StreamLog("fastapi_app", str(file), database)
    before = datetime.now(UTC)
    entry = begin(log, "r-1", "team", "gpt")
    entry.first_token()
    entry.tokens, entry.bytes = 7, 99
    entry.end("timed_out", "token_timeout")
    log.close()
    (line,), (row,) = lines(file), rows(database)
    assert line == row
    assert list(line) == list(row) == [field.name for field in msgspec.structs.fields(Record)]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])
    assert abs((datetime.fromisoformat(line["at"]) - before).total_seconds()) < 5
    assert 0 <= line["first_token_ms"] <= line["duration_ms"] < 5000
    assert line["duration_ms"] == round(line["duration_ms"], 3)
    times = ("at", "first_token_ms", "duration_ms")
    assert {name: value for name, value in line.items() if name not in times} == {
        "request_id": "r-1",
        "stack": "fastapi_app",
        "user": "team",
        "model": "gpt",
        "kind": "stream",
        "outcome": "timed_out",
        "code": "token_timeout",
        "tokens": 7,
        "bytes": 99,
    }


def test_the_first_end_counts(file: Path) -> None:
    log = StreamLog("fastapi_app", str(file))
    entry = begin(log)
    entry.end("slow_reader", "slow_reader")
    entry.end("finished")
    log.close()
    (line,) = lines(file)
    assert (line["outcome"], line["code"], line["first_token_ms"]) == ("slow_reader",) * 2 + (None,)


def test_the_first_token_is_stamped_once(file: Path) -> None:
    log = StreamLog("fastapi_app", str(file))
    entry = begin(log)
    entry.first_token()
    time.sleep(0.03)  # the time itself is what is measured here
    entry.first_token()
    entry.end("finished")
    log.close()
    (line,) = lines(file)
    assert line["first_token_ms"] + 25 < line["duration_ms"]


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (None, "finished", None),
        (AnswerTimeout(), "timed_out", "answer_timeout"),
        (SlowReader(), "slow_reader", "slow_reader"),
        (InternalError(), "failed", "internal"),
        (ZeroDivisionError("a secret"), "failed", "internal"),
        (asyncio.CancelledError(), "cancelled", None),
    ],
)
def test_a_block_ends_its_answer(
    file: Path, error: BaseException | None, outcome: str, code: str | None
) -> None:
    log = StreamLog("legacy_flask", str(file))
    with pytest.raises(type(error)) if error else nullcontext(), begin(log):
        if error is not None:
            raise error
    log.close()
    (line,) = lines(file)
    assert (line["outcome"], line["code"]) == (outcome, code)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_client_forges_no_line(file: Path, database: Path, text: str) -> None:
    log = StreamLog("fastapi_app", str(file), database)
    begin(log, text, text, text).end("finished")
    log.close()
    data = file.read_bytes()
    assert data.count(b"\n") == 1
    assert not set(data[:-1]) & {*range(0x20), *range(0x80, 0x100)}
    (line,) = lines(file)
    kept = text.replace("\ud800", "?")
    assert (line["request_id"], line["user"], line["model"]) == (kept, kept, kept)
    assert rows(database) == [line]


@settings(max_examples=50, deadline=None)
@given(st.lists(RECORDS, max_size=20))
def test_any_record_is_one_line_and_one_row(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    log = StreamLog("fastapi_app", str(folder / "lines"), folder / "rows")
    for record in records:
        log.write(record)
    end(log, "last")
    log.close()
    *written, _ = lines(folder / "lines")
    assert written == [json.loads(json.dumps(_kept(record))) for record in records]
    assert rows(folder / "rows")[:-1] == written


def _kept(record: Record) -> dict[str, Any]:
    """A surrogate is a question mark, and an integer ends where SQLite's do."""
    fields = msgspec.structs.asdict(record)
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = re.sub("[\ud800-\udfff]", "?", value)
        elif isinstance(value, int):
            fields[name] = max(1 - 2**63, min(value, 2**63 - 1))
    return fields


# When it is written


def test_nothing_is_opened_or_started_before_the_first_record(file: Path, database: Path) -> None:
    threads = threading.active_count()
    log = StreamLog("fastapi_app", str(file), database)
    entry = begin(log)
    assert (threading.active_count(), file.exists(), database.exists()) == (threads, False, False)
    entry.end("finished")
    await_that(lambda: has_rows(database, 1))
    assert threading.active_count() == threads + 2  # one a place
    log.close()
    assert threading.active_count() == threads


def test_without_a_place_nothing_is_started() -> None:
    threads = threading.active_count()
    log = StreamLog("fastapi_app", "")
    end(log, "r-1")
    assert threading.active_count() == threads
    log.close()


def test_closing_writes_all_leaves_nothing_open_and_a_later_record_is_written_too(
    file: Path, database: Path
) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    log = StreamLog("fastapi_app", str(file), database)
    log.close()
    end(log, *ids(3000))
    log.close()
    assert keys(lines(file)) == keys(rows(database)) == ids(3000)
    log.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    end(log, "later")
    log.close()
    assert keys(lines(file)) == keys(rows(database)) == [*ids(3000), "later"]


def test_threads_write_at_once(file: Path, database: Path) -> None:
    log = StreamLog("legacy_flask", str(file), database)
    names = [ids(500, f"t{number}") for number in range(8)]
    threads = [threading.Thread(target=end, args=(log, *part)) for part in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    expected = [name for part in names for name in part]
    assert each_once(lines(file), expected)
    assert each_once(rows(database), expected)


def test_threads_write_while_another_closes(file: Path) -> None:
    log = StreamLog("legacy_flask", str(file))
    names = [ids(500, f"t{number}") for number in range(4)]
    threads = [threading.Thread(target=end, args=(log, *part)) for part in names]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        log.close()
    log.close()
    assert each_once(lines(file), [name for part in names for name in part])


def test_a_signal_handler_ends_answers_in_the_middle_of_another_end(file: Path) -> None:
    log = StreamLog("legacy_flask", str(file))
    handled = iter(ids(1_000_000, "signal"))
    used: list[str] = []

    def on_alarm(*_: object) -> None:
        used.append(next(handled))
        end(log, used[-1])

    former = signal.signal(signal.SIGVTALRM, on_alarm)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
    try:
        end(log, *ids(20_000))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)
    log.close()
    assert len(used) > 5
    assert each_once(lines(file), [*ids(20_000), *used])


# Several processes


def families(names: Sequence[str], count: int, forks: int) -> list[str]:
    """What programs of these names write."""
    forked = [f"{name}-{fork}" for name in names for fork in range(forks)]
    return [key for name in (*names, *forked) for key in ids(count, name)]


def test_processes_share_a_file_and_a_database_and_exit_without_closing(
    file: Path, database: Path
) -> None:
    run_together([(name, file, database, 300, 2, "") for name in ids(4, "p")])
    expected = families(ids(4, "p"), 300, 2)
    assert len(expected) == 3_600
    assert each_once(lines(file), expected)
    assert each_once(rows(database), expected)


def test_processes_share_a_pipe_as_their_stdout() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        with open(writing, "wb") as stdout:
            received: list[bytes] = []
            reader = threading.Thread(target=lambda: received.append(pipe.read()))
            reader.start()
            run_together([(name, "-", "", 1000, 1, "") for name in ids(3, "p")], stdout)
        reader.join(EXIT_S)
    assert each_once(parsed(received[0]), families(ids(3, "p"), 1000, 1))


def test_a_fork_behind_the_first_record_copies_none(file: Path) -> None:
    run_together([(name, file, "", 100, 5, "behind") for name in ids(3, "p")])
    before = [key for name in ids(3, "p") for key in ids(5, f"{name}-before")]
    assert each_once(lines(file), families(ids(3, "p"), 100, 5) + before)


def test_a_fork_behind_the_first_record_stays_away_from_the_database(
    file: Path, database: Path
) -> None:
    with child(PROGRAM, "p", file, database, 100, 1, "behind") as process:
        _, complaints = process.communicate(timeout=EXIT_S)
    assert process.returncode == 0
    assert complaints == b"forked behind the first record: this process writes no rows\n"
    assert each_once(lines(file), [*families(["p"], 100, 1), "p-before-0"])
    assert each_once(rows(database), [*families(["p"], 100, 0), "p-before-0"])


def run_together(
    programs: Sequence[tuple[object, ...]], stdout: int | IO[bytes] = subprocess.DEVNULL
) -> None:
    with ExitStack() as opened:
        started = [opened.enter_context(child(PROGRAM, *each, stdout=stdout)) for each in programs]
        for process in started:
            _, complaints = process.communicate(timeout=EXIT_S)
            assert (process.returncode, complaints.decode()) == (0, "")


# Places that fail


@pytest.fixture(params=["a directory", "a missing directory", "a pipe without a reader"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[], Any]]:
    """A path that cannot be written, and what mends it."""
    path = tmp_path / "place" / "answers.jsonl"
    if request.param == "a missing directory":
        return path, path.parent.mkdir
    path.parent.mkdir()
    if request.param == "a directory":
        path.mkdir()
        return path, path.rmdir
    os.mkfifo(path)
    return path, path.unlink


def test_records_wait_for_a_file_that_fails_and_rows_do_not(
    broken: tuple[Path, Callable[[], Any]], database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, mend = broken
    log = StreamLog("fastapi_app", str(path), database)
    for number, name in enumerate(ids(20), 1):
        end(log, name)
        await_that(partial(has_rows, database, number))
    mend()
    await_that(lambda: path.is_file() and len(lines(path)) == 20)
    end(log, "after")
    log.close()
    assert keys(lines(path)) == keys(rows(database)) == [*ids(20), "after"]
    (error,) = errors(caplog)
    assert error.startswith(f"{path}: records wait: ")
    assert "r-0" not in error
    assert f"{path}: records are written again" in caplog.text


def test_records_wait_for_a_database_that_is_locked_and_lines_do_not(
    file: Path, database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "BUSY_S", 0.1)
    log = StreamLog("fastapi_app", str(file), database)
    end(log, "first")
    await_that(lambda: has_rows(database, 1))
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        end(log, *ids(10))
        await_that(lambda: len(lines(file)) == 11)
        await_that(lambda: errors(caplog))
        end(log, "more")
        await_that(lambda: len(lines(file)) == 12)
        assert keys(rows(database)) == ["first"]
        other.execute("ROLLBACK")
    await_that(lambda: has_rows(database, 12))
    log.close()
    assert keys(rows(database)) == keys(lines(file)) == ["first", *ids(10), "more"]
    assert len(errors(caplog)) == 1


def test_what_is_no_database_stops_no_line_and_is_told_at_the_end(
    file: Path, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database.write_bytes(b"this is no database, but a text" * 100)
    log = StreamLog("fastapi_app", str(file), database)
    end(log, *ids(10))
    await_that(lambda: errors(caplog))
    end(log, "more")
    log.close()
    assert keys(lines(file)) == [*ids(10), "more"]
    failed, *lost = errors(caplog)
    assert failed == f"{database}: records wait: DatabaseError: file is not a database"
    assert sum(int(error.split()[1]) for error in lost if error.endswith("records lost")) == 11


@pytest.mark.parametrize("limit", [1, 1000, 1001, 2222, 3333])
def test_a_disk_that_fills_up_in_a_line_loses_none(file: Path, limit: int) -> None:
    with child(FILLING_DISK, file, limit) as process:
        assert process.stdin is not None
        await_that(lambda: file.exists() and file.stat().st_size == limit)
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.wait(EXIT_S) == 0
    whole = [line for line in file.read_bytes().splitlines() if line.endswith(b"}")]
    torn = [line for line in file.read_bytes().splitlines() if not line.endswith(b"}")]
    assert keys([json.loads(line) for line in whole]) == ids(20)
    assert len(torn) <= 1


def test_a_file_that_was_moved_away_is_left(file: Path, tmp_path: Path) -> None:
    log = StreamLog("fastapi_app", str(file))
    end(log, "old")
    await_that(lambda: file.exists() and lines(file))
    file.rename(tmp_path / "old.jsonl")
    end(log, "new")
    log.close()
    assert (keys(lines(tmp_path / "old.jsonl")), keys(lines(file))) == (["old"], ["new"])


def test_a_pipe_that_nobody_reads_holds_up_neither_the_rows_nor_the_exit(database: Path) -> None:
    with child(PROGRAM, "p", "-", database, 2000, 0, "") as process:
        began = time.monotonic()
        assert process.wait(EXIT_S) == 0
        assert time.monotonic() - began < streamlog.CLOSE_S + 3
        assert process.stdout is not None
        assert process.stderr is not None
        written = parsed(process.stdout.read())
        assert len(written) > 100
        complaints = process.stderr.read().decode()
        lost = sum(int(number) for number in re.findall(r"stdout: (\d+) records lost", complaints))
    assert keys(written) == ids(2000 - lost, "p")
    assert keys(rows(database)) == ids(2000, "p")


def test_records_beyond_the_queue_are_dropped_and_counted_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamlog, "QUEUE_RECORDS", 4096)
    path = tmp_path / "place" / "answers.jsonl"
    log = StreamLog("fastapi_app", str(path))
    end(log, "held")
    await_that(lambda: errors(caplog))  # its batch is taken, and waits for the folder
    end(log, *ids(streamlog.QUEUE_RECORDS + 100))
    path.parent.mkdir()
    await_that(path.exists)
    log.close()
    assert keys(lines(path)) == ["held", *ids(streamlog.QUEUE_RECORDS)]
    assert errors(caplog)[1:] == [
        f"{path}: 100 records dropped, {streamlog.QUEUE_RECORDS} waited already"
    ]


def test_records_wait_while_there_is_no_thread_to_be_had(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = StreamLog("fastapi_app", str(file))
    former = threading.stack_size(2**46)  # more than there are addresses for
    try:
        end(log, *ids(3))
    finally:
        threading.stack_size(former)
    assert errors(caplog) == [f"{file}: records wait, there is no thread to be had"]
    end(log, "after")
    log.close()
    assert keys(lines(file)) == [*ids(3), "after"]


def test_what_an_answer_pays_for_its_record(file: Path, database: Path) -> None:
    """Prints it; see it with `pytest -s`."""
    count = 20_000
    log = StreamLog("fastapi_app", str(file), database)
    end(log, "first")
    began, cpu = time.perf_counter(), time.thread_time()
    end(log, *ids(count))
    wall_us, cpu_us = (time.perf_counter() - began, time.thread_time() - cpu)
    log.close()
    print(
        f"\na record costs its answer {wall_us / count * 1e6:.1f} us, {cpu_us / count * 1e6:.1f} us of CPU"
    )
    assert len(lines(file)) == len(rows(database)) == count + 1
