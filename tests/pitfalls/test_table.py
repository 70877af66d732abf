"""`make pitfalls` and the guide's table: what they show, and that a claim which does not hold fails the run."""

import dataclasses
import io
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console

from tests.pitfalls.__main__ import built, main, perform
from tests.pitfalls.catalogue import (
    CHAPTERS,
    MYTHS,
    Entry,
    Observation,
    Sighting,
    catalogue,
    chapter_of,
    entry_of,
    myths,
    name_of,
    names,
)
from tests.pitfalls.observing import observed, sighting
from tests.pitfalls.requests import path_int
from tests.pitfalls.table import cell, markdown, said, terminal
from tests.pitfalls.verdict import Myth, Verdict, judged, myths_summarised

ROOT = Path(__file__).parents[2]
HERE = {"pinned": Path(sys.executable), "current": Path(sys.executable)}
TOLD = path_int.PITFALL
NAME = "requests/path-int"
GOOD = Sighting(Observation(TOLD.flask, TOLD.fastapi, TOLD.fixed))
NASTY = ["a|b", "`a|b`", "<int:n>", "`<int:n>` & <b>", "*a* _b_ __c__ a_b", r"\u00e9", r"`\u00e9`", "a ` b",
         "[a](b) ![c](d)", "~~a~~", "$a$", "&amp;", "a\nb", "`a` `b`", "-5", "# a", "1. a"]  # fmt: skip


def claiming(**words: str) -> Entry:
    """The entry path-int, which says something else than it did."""
    told = dataclasses.replace(TOLD, **cast(dict[str, Any], words))
    return cast(Entry, SimpleNamespace(__name__=path_int.__name__, PITFALL=told))


def run(entry: Entry, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit status, and everything printed, as one line of words."""
    status = perform([entry], HERE, out)
    return status, " ".join(capsys.readouterr().out.split())


def test_an_entry_that_shows_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(entry_of(NAME), tmp_path, capsys)
    assert status == 0
    assert printed.endswith("1/1 entries show what they say")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["shown"], summary["total"], summary["holds"]) == (1, 1, True)
    assert summary["versions"]["pinned"]["fastapi"] == summary["versions"]["current"]["fastapi"]
    seen = summary["entries"][NAME]["current"]["seen"]
    assert seen == {"flask": "404", "fastapi": "422", "fixed": "404", "evidence": ""}


def test_an_entry_that_claims_something_else_fails_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(claiming(fastapi="404"), tmp_path, capsys)
    assert status == 1
    said = f"{NAME} on FastAPI 0.115, fastapi: expected '404', observed '422'"
    assert said in printed
    assert printed.endswith("0/1 entries show what they say")
    assert not json.loads((tmp_path / "summary.json").read_text())["holds"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"flask": "400"}, "FastAPI 0.115, flask: expected '400', observed '404'"),
        ({"flask": "400"}, "current FastAPI, flask: expected '400', observed '404'"),
        ({"current": "200"}, "current FastAPI, fastapi: expected '200', observed '422'"),
        ({"fixed": "410"}, "current FastAPI, fixed: expected '410', observed '404'"),
    ],
)
def test_each_word_of_an_entry_is_held(words: dict[str, str], said: str) -> None:
    (verdict,) = judged([claiming(**words)], {NAME: GOOD}, {NAME: GOOD})
    assert not verdict.shown
    assert f"{NAME} on {said}" in list(verdict.failures())


def printed(verdicts: Sequence[Verdict], width: int) -> list[str]:
    """The lines of the table on a terminal of this width."""
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(terminal(verdicts, "0.115.14", "0.165.0"))
    return cast(io.StringIO, console.file).getvalue().splitlines()


def test_the_table_in_the_terminal() -> None:
    changed = Sighting(Observation(TOLD.flask, "[200]", TOLD.fixed))
    failed = Sighting(None, "it raised")
    verdicts = [Verdict(NAME, TOLD, GOOD, current) for current in (GOOD, changed, failed)]
    rows = [
        [words.strip() for words in re.split("[┃│]", line)[1:-1]] for line in printed(verdicts, 160)
    ]
    heads = ["entry, what", "Flask", "FastAPI 0.115.14", "FastAPI 0.165.0", "with the fix", "shown"]
    assert [row for row in rows if row and row[0] in (heads[0], NAME)] == [
        heads,
        [NAME, "404", "422", "-", "404", "yes"],
        [NAME, "404", "422", "changed: [200]", "404", "NO"],
        [NAME, "404", "422", "changed: ?", "404", "NO"],
    ]
    assert {len(line) for line in printed(verdicts, 80)[1:]} == {80}


def test_a_process_that_ends_early_fails_what_it_did_not_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pythons = {**HERE, "current": Path("/bin/false")}
    assert perform([entry_of(NAME)], pythons, tmp_path) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{NAME} on current FastAPI: not tried: the process ended with 1" in printed


def test_an_entry_that_raises_is_a_failed_entry() -> None:
    failed = sighting("requests/there-is-none")
    assert failed.seen is None
    assert failed.raised.startswith("ModuleNotFoundError: ")
    verdict = Verdict("requests/there-is-none", TOLD, GOOD, failed)
    assert not verdict.shown
    assert list(verdict.failures()) == [f"{verdict.name} on current FastAPI: {failed.raised}"]
    assert Verdict(verdict.name, TOLD, GOOD, GOOD).shown


def test_an_entry_that_does_not_end_is_given_up() -> None:
    endless = SimpleNamespace(observe=lambda ground: threading.Event().wait())
    with pytest.raises(TimeoutError, match=r"not done within 0\.05 s"):
        observed(cast(Entry, endless), 0.05)


def test_a_bad_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "no such"]) == 2
    assert capsys.readouterr().err == "pitfalls: ONLY: no entry has 'no such' in its name\n"


def test_an_environment_that_is_not_there(tmp_path: Path) -> None:
    assert built(HERE) == HERE
    with pytest.raises(ValueError, match="`make pitfalls` builds it"):
        built({**HERE, "current": tmp_path / "python"})


def test_an_interrupt_stops_what_was_started(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from tests.pitfalls import catalogue, __main__ as command; here ="
        "pathlib.Path(sys.executable); sys.exit(command.perform(catalogue.catalogue(),"
        "{'pinned': here, 'current': here}, pathlib.Path(sys.argv[1])))"
    )
    command, log = [sys.executable, "-c", code, str(tmp_path)], tmp_path / "pinned.log"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            while not log.exists() or not log.stat().st_size:  # the first request is there
                with pytest.raises(subprocess.TimeoutExpired):
                    running.wait(0.1)
            started = psutil.Process(running.pid).children(recursive=True)
            running.send_signal(signal.SIGINT)
            printed, _ = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130
    assert "Interrupted" in printed
    assert started
    assert not any(process.is_running() for process in started)
    assert not (tmp_path / "summary.json").exists()


def rendered(text: str) -> list[list[Token]]:
    """The rows of a Markdown table, the head first, each cell as its inline token."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert [token.type for token in tokens].count("table_open") == 1
    assert tokens[-1].type == "table_close"
    rows: list[list[Token]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(token)
    return rows


def plain(token: Token) -> str:
    """The words of a cell; anything but text and code fails."""
    children = token.children or []
    assert {child.type for child in children} <= {"text", "text_special", "code_inline"}
    return "".join(child.content for child in children)


def as_read(words: str) -> str:
    return re.sub(r"`([^`]+)`", r"\1", " ".join(words.split()))


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.pitfalls.__main__.PYTHONS", HERE)
    (tmp_path / "out").touch()
    assert main(["--only", NAME, "--out", str(tmp_path / "out")]) == 2
    printed, errors = capsys.readouterr()
    assert (printed, errors.count("\n")) == ("", 1)
    assert errors.startswith("pitfalls: ")


@pytest.mark.parametrize("words", NASTY)
def test_a_cell_reads_as_it_was_written(words: str) -> None:
    ((one,),) = rendered(f"| {cell(words)} |\n| --- |\n")
    assert plain(one) == as_read(words)


def test_the_table_of_the_guide() -> None:
    entries = catalogue()
    head, *rows = rendered(markdown(entries))
    assert [plain(one) for one in head] == [
        "what", "Flask", "FastAPI 0.115", "current FastAPI, where changed", "after the fix", "fix"
    ]  # fmt: skip
    chapters = [row[0].content for row in rows if row[0].content.startswith("**")]
    present = {name_of(entry).split("/")[0] for entry in entries}
    ordinary = [chapter for chapter in CHAPTERS if chapter in present - {"articles"}]
    assert chapters == [f"**{chapter.capitalize()}**" for chapter in ordinary]
    told = [entry.PITFALL for entry in entries if not name_of(entry).startswith("articles/")]
    expected = [
        [one.title, one.flask, one.fastapi, one.current or "", one.fixed, one.fix] for one in told
    ]
    shown = [[plain(one) for one in row] for row in rows if row[0].content not in chapters]
    assert shown == [[as_read(words) for words in row] for row in expected]


def test_the_table_of_what_is_said() -> None:
    entries = myths()
    items = myths_summarised([Myth(entry, as_told(entry)) for entry in entries], {})["items"]
    head, *rows = rendered(said(items))
    assert [plain(one) for one in head] == ["it is said", "what is so", "evidence", "fix"]
    for row, one in zip(rows, (entry.PITFALL for entry in entries), strict=True):
        assert plain(row[0]) == as_read(one.article or "")
        so = row[1].content.split("<br>")
        assert so[0] == cell(one.title)
        assert {cell(words) for words in (one.flask, one.fastapi)} == {
            line.split(": ", 1)[1]
            for line in so[1:]
            if "Flask" in line or line.startswith("FastAPI")
        }
        assert plain(row[2]) == "1 of 2"
        assert plain(row[3]) == as_read(one.fix)


def as_told(entry: Entry) -> Sighting:
    """It shows what it says."""
    told = entry.PITFALL
    return Sighting(Observation(told.flask, told.fastapi, told.fixed, "1 of 2"))


@pytest.mark.parametrize("entry", [*catalogue(), *map(entry_of, names(["proxy"]))], ids=name_of)
def test_an_entry_is_one(entry: Entry) -> None:
    told = entry.PITFALL
    article = chapter_of(entry) in MYTHS
    assert (told.article is not None) == article
    assert (told.number is not None) == article
    assert told.current != told.fastapi
    assert article or len({told.flask, told.fastapi, told.fastapi_now, told.fixed}) > 1
    assert told.title.strip()
    assert told.fix.strip()
    assert "\n" not in told.title + told.fix
