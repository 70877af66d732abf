"""`make faults`: the suite on one server, and mutants of every kind that it must notice."""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fastapi
import psutil
import pytest

from loadtests import faults
from loadtests.provoking import audit
from loadtests.provoking.asking import PROMPT, ask
from loadtests.provoking.ground import IN_FLIGHT, VARIANTS, Broken, Ground, Row, raised
from loadtests.provoking.peers import Peer, chat
from loadtests.provoking.records import Records
from loadtests.provoking.scrape import samples
from loadtests.provoking.suite import HELD, LOGS, ONCE, Suite, groups
from tests.servers import ROOT

UVLOOP, _, TWO_WORKERS, _ = VARIANTS
COMMAND = [sys.executable, "-m", "loadtests", "faults"]
AS_ASKED = [
    "RST mid-stream",
    "FIN mid-stream",
    "RST before the first token",
    "dead peer",
    "non-reading client",
    "silent before",
    "silent midway",
    "upstream: RST",
    "truncated JSON",
    "HTML with status 200",
    "no [DONE]",
    "open after [DONE]",
    "429 with Retry-After",
    "500, then success",
    "refuses connections",
    "pool of 2, 50 streams",
    "SIGTERM with 200 streams",
    "SIGKILL of one worker among two",
    "slow request headers",
    "trickled body",
    "10 MB prompt",
    "deeply nested JSON",
    "descriptor limit of 256",
    "1,000 simultaneous connects",
    "2,000 aborted streams",
]


OF_THE_SERVER = ("SIGKILL of one worker among two", "descriptor limit of 256, 350 streams")
"""Kept by uvicorn and the kernel: on another line of FastAPI they say nothing new."""
PINNED = fastapi.__version__.startswith("0.115.")
# The command in a process of its own, without the rows that it is told of first.
WITHOUT = """
import sys
from loadtests import faults
from loadtests.__main__ import main
faults.ROWS = tuple(row for row in faults.ROWS if row.name not in sys.argv[1].splitlines())
sys.exit(main(["faults", *sys.argv[2:]]))
"""


@pytest.mark.timeout(300)
def test_every_promise_holds_on_a_server(tmp_path: Path) -> None:
    left_out = () if PINNED else OF_THE_SERVER
    command = [sys.executable, "-c", WITHOUT, "\n".join(left_out)]
    options = ["--servers", UVLOOP.name, "--out", str(tmp_path)]
    result = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    rows = len(faults.ROWS) - len(left_out)
    total = rows + 3
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[0].startswith(f"{rows} faults on {UVLOOP.name}: about ")
    assert result.stdout.splitlines()[-1] == f"{total}/{total}"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["held"], summary["total"], summary["holds"]) == (total, total, True)
    assert all(row["servers"][UVLOOP.name]["evidence"] for row in summary["rows"].values())


def test_every_fault_has_a_row_and_a_name_of_its_own() -> None:
    names = [row.name for row in faults.ROWS]
    assert len(set(names)) == len(names)
    assert [asked for asked in AS_ASKED if not any(asked in name for name in names)] == []
    assert set(OF_THE_SERVER) <= set(names)


def cannot_hold(ground: Ground) -> str:
    raise Broken("seen something else")


def breaks(ground: Ground) -> str:
    raise KeyError("a row that\nis wrong itself")


def holds(ground: Ground) -> str:
    return f"answered {ask(ground, 'fine', 'sim:instant', max_tokens=3)}"


def records_twice(ground: Ground) -> str:
    ask(ground, "twice", "sim:instant", max_tokens=3)
    ground.record("twice")
    line = ground.records_path.read_bytes().splitlines()[-1]
    with ground.records_path.open("ab") as file:
        file.write(line + b"\n")
    return "a record doubled"


def tells(ground: Ground) -> str:
    (ground.out / "told.log").write_text(f"INFO {PROMPT}\n")
    return "a prompt in a log"


class Leak:
    """Leaves a stream under way behind."""

    def __init__(self) -> None:
        self.peer: Peer | None = None

    def __call__(self, ground: Ground) -> str:
        self.peer = Peer(ground.host, ground.port)
        self.peer.send(chat("leaked", "sim:instant+stall-mid"))
        self.peer.until(b"event: delta")
        return "a stream left open"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SETTLED_WITHIN_S", 1.0)


def _performed(out: Path, *rows: Row) -> tuple[int, dict[str, tuple[bool, str]]]:
    status = faults.perform([UVLOOP], rows, out)
    summary = json.loads((out / "summary.json").read_text())
    seen = {name: row["servers"][UVLOOP.name] for name, row in summary["rows"].items()}
    assert summary["holds"] == (status == 0)
    assert summary["held"] == sum(one["held"] for one in seen.values())
    assert summary["total"] == len(rows) + 3
    return status, {name: (one["held"], one["evidence"]) for name, one in seen.items()}


def test_rows_that_hold_are_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, seen = _performed(tmp_path, Row("fine", "is answered", holds))
    assert status == 0
    assert seen["fine"] == (True, "answered 200 done")
    assert all(held for held, _ in seen.values())
    assert capsys.readouterr().out.splitlines()[-1] == "4/4"


def test_a_promise_that_cannot_hold_fails_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (Row("cannot", "never", cannot_hold), Row("breaks", "never", breaks, together=True))
    status, seen = _performed(tmp_path, *rows, Row("fine", "is answered", holds))
    assert status == 1
    assert seen["cannot"] == (False, "seen something else")
    assert seen["breaks"][1].startswith("KeyError: ")
    assert seen["fine"][0]
    assert capsys.readouterr().out.splitlines()[-1] == "4/6"


@pytest.mark.usefixtures("impatient")
def test_a_leak_a_second_record_and_a_prompt_in_a_log_are_noticed(tmp_path: Path) -> None:
    at_once = {"CHAT_DRAIN_GRACE_S": "0"}
    rows = [
        Row("twice", "", records_twice, at_once),
        Row("tells", "", tells, at_once),
        Row("leaks", "", Leak(), at_once),
    ]
    status, seen = _performed(tmp_path, *rows)
    assert status == 1
    assert all(seen[row.name][0] for row in rows)
    assert "1 answers" in seen[HELD[0]][1]
    assert "twice" in seen[ONCE[0]][1]
    assert PROMPT in seen[LOGS[0]][1]
    assert not any(seen[name][0] for name, _ in (HELD, ONCE, LOGS))


@pytest.mark.usefixtures("impatient")
def test_an_answer_without_a_record_is_noticed(tmp_path: Path) -> None:
    unlogged = Row("fine", "is answered", holds, always={"CHAT_LOG_PATH": ""})
    status, seen = _performed(tmp_path, unlogged)
    assert status == 1
    assert "without a record" in seen[ONCE[0]][1]
    assert seen[HELD[0]][0]


def test_a_stack_that_does_not_start_fails_its_rows(tmp_path: Path) -> None:
    status, seen = _performed(tmp_path, Row("fine", "", holds, {"CHAT_HEARTBEAT_S": "never"}))
    assert status == 1
    assert "CHAT_HEARTBEAT_S" in seen["fine"][1]
    assert seen[HELD[0]] == (False, "not looked at")


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    options = ["--servers", UVLOOP.name, "--only", "silent", "--out", str(tmp_path)]
    with subprocess.Popen([*COMMAND, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        started = _children(run.pid, "fastapi_app")
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=20)
    assert run.returncode == 130
    assert "Interrupted" in out
    assert [child.pid for child in started if child.is_running()] == []


def _children(pid: int, module: str) -> list[psutil.Process]:
    """All of a process's children, once this module runs in one of them."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children(recursive=True)
        if any(module in child.cmdline() for child in children):
            return children
        time.sleep(0.05)
    raise AssertionError(f"{module} was not started")


@pytest.mark.parametrize(
    "options", [("--servers", "iis"), ("--only", "no such row")], ids=["server", "row"]
)
def test_what_there_is_not_is_one_clear_line(
    options: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    parser = argparse.ArgumentParser()
    faults.add_arguments(parser)
    out = tmp_path / "out"
    assert faults.main(parser.parse_args([*options, "--out", str(out)])) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert options[1] in said.err
    assert not out.exists()


def test_rows_with_equal_settings_share_a_stack() -> None:
    short, held = {"CHAT_HEARTBEAT_S": "1"}, {"CHAT_QUEUE_ITEMS": "9"}
    rows = [
        Row("a", "", holds),
        Row("b", "", holds, short),
        Row("c", "", holds),
        Row("d", "", holds, alone=True),
        Row("e", "", holds, short, always=held),
    ]
    named = [[row.name for row in group] for group in groups(rows, long=False)]
    assert named == [["a", "c"], ["b"], ["d"], ["e"]]
    named = [[row.name for row in group] for group in groups(rows, long=True)]
    assert named == [["a", "b", "c"], ["d"], ["e"]]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with raised(TWO_WORKERS, tmp_path_factory.mktemp("two")) as ground:
        yield ground


def test_gauges_are_summed_over_the_workers(two_workers: Ground) -> None:
    peers = [Peer(two_workers.host, two_workers.port) for _ in range(6)]
    for number, peer in enumerate(peers):
        peer.send(chat(f"both-{number}", "sim:instant+stall-mid"))
        peer.until(b"event: delta")
    two_workers.upstream.in_flight(6)
    assert two_workers.metrics()[IN_FLIGHT] == 6
    with pytest.raises(Broken, match="not idle"):
        two_workers.idle(within_s=0.1)
    for peer in peers:
        peer.close()
    two_workers.idle()
    for number in range(6):
        assert two_workers.record(f"both-{number}")["outcome"] == "cancelled"


def test_a_record_is_waited_for_and_not_for_ever(two_workers: Ground) -> None:
    with pytest.raises(Broken, match="no record of nobody"):
        two_workers.record("nobody", within_s=0.1)
    with pytest.raises(Broken, match="no upstream request of nobody"):
        two_workers.upstream.seen("nobody", within_s=0.1)


def test_records_are_read_as_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records = Records(path)
    assert records.by_id() == {}
    path.write_bytes(b'{"request_id":"a"}\n{"request_id":')
    assert list(records.by_id()) == ["a"]
    path.write_bytes(path.read_bytes() + b'"b"}\n')
    assert list(records.by_id()) == ["a", "b"]
    path.write_bytes(path.read_bytes() + b"forged\n")
    with pytest.raises(Broken, match="forged"):
        records.by_id()


def test_samples_are_the_values_of_the_text_format() -> None:
    text = '# HELP a b\n# TYPE a gauge\na 2.0\nb{c="d e"} 1e3\n'
    assert samples(text) == {"a": 2.0, 'b{c="d e"}': 1000.0}


def test_what_is_held_is_audited_behind_rows_that_share_a_stack(tmp_path: Path) -> None:
    alone = [row for row in faults.ROWS if row.alone]
    audits = [Suite(UVLOOP, rows, tmp_path, print).audits for rows in (alone, faults.ROWS)]
    assert alone
    assert audits == [[ONCE, LOGS], [HELD, ONCE, LOGS]]
