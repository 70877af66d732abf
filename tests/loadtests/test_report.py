"""What people read: the page stands alone and escapes what it is given, the text has every row."""

import argparse
import re
import xml.etree.ElementTree as ET
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from loadtests import report
from loadtests.reporting import comparison, markdown
from tests.loadtests.run_files import Shape, change_lines, production_run, write_run

VOID = {"meta", "br", "link", "img"}


class Balance(HTMLParser):
    """Checks that every element is closed in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(out: Path) -> str:
    report.write(out)
    return (out / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sound_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(write_run(tmp_path_factory.mktemp("sound")))


def test_the_page_is_one_file_that_asks_for_nothing(sound_page: str) -> None:
    text = re.sub(r'xmlns(:\w+)?="[^"]*"', "", sound_page)
    assert "://" not in text
    assert not re.search(r"<(script|link|img|iframe|object)\b|@import|url\((?!#)", text)


def test_the_page_is_well_formed(sound_page: str) -> None:
    parser = Balance()
    parser.feed(sound_page)
    assert parser.open == []
    drawings = re.findall(r"<svg.*?</svg>", sound_page, flags=re.DOTALL)
    assert len(drawings) == 14
    for drawing in drawings:
        ET.fromstring(drawing)


def test_no_drawing_uses_the_ids_of_another(sound_page: str) -> None:
    ids = re.findall(r'<(?:clipPath|path) id="([mp]\w+)"', sound_page)
    assert ids
    assert len(ids) == len(set(ids))


def test_colours_are_those_of_the_scheme(sound_page: str) -> None:
    assert "prefers-color-scheme: dark" in sound_page
    assert not re.search(r"#0[1-7]0[1-7]0[1-7]", sound_page)


def test_the_page_says_what_it_found(sound_page: str) -> None:
    assert "First words after 1.20&nbsp;s instead of 7.61&nbsp;s" in sound_page
    assert comparison.BATCH_NOTE in sound_page
    assert "Valid run." in sound_page
    assert "INVALID run." not in sound_page
    for claim in ("A1", "A2", "A3", "A4", "A5", "A6"):
        assert f"<b>{claim}</b>" in sound_page


def test_an_invalid_run_is_no_headline(tmp_path: Path) -> None:
    text = page(write_run(tmp_path, Shape(run={"interrupted": True})))
    assert "<h1>INVALID run" in text
    assert "the run was interrupted" in text
    assert "First words after" not in text
    assert "sooner" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)


def test_text_of_the_run_is_escaped(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    run = {"scenario": attack, "host": {"cpu": attack}, "versions": {attack: attack}}
    write_run(tmp_path, Shape(run=run))
    change_lines(
        tmp_path / "samples.jsonl", lambda s: s | {"error": attack} if s["index"] == 1 else s
    )
    change_lines(tmp_path / "samples.jsonl", lambda s: s | {"request_id": attack})
    assert "<script" not in page(tmp_path)


def test_a_teams_own_endpoints(tmp_path: Path) -> None:
    own = {"stacks": {}, "handling": None, "harness": {"cpu_share": {"client": 0.2}}}
    text = unescape(page(write_run(tmp_path, Shape(timeline=False, run=own))))
    assert "without the simulator's timeline the model's own time is unknown" in text
    assert "were not under this run's control" in text
    assert "API overhead, first-chunk delay and relay lag are not measured" in text


def test_one_stack_alone_still_makes_a_report(tmp_path: Path) -> None:
    write_run(tmp_path)
    lines = (tmp_path / "samples.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "samples.jsonl").write_text("".join(lines[:150]))
    assert "fastapi_app: 0 of 200 requests were sent" in page(tmp_path)


def test_all_requests_failed(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=5))
    change_lines(tmp_path / "samples.jsonl", lambda s: s | {"error": "refused"})
    assert "5 of 5 requests failed (refused: 5)" in page(tmp_path)
    report.picture(tmp_path, tmp_path / "picture.png")


def test_retries_are_told(tmp_path: Path) -> None:
    write_run(tmp_path, Shape(requests=5))
    lines = (tmp_path / "timeline.jsonl").read_text()
    (tmp_path / "timeline.jsonl").write_text(lines + lines)
    assert "5 answers took more than one upstream request" in page(tmp_path)


def test_the_markdown_has_every_row_with_as_many_cells(tmp_path: Path) -> None:
    summary = report.write(write_run(tmp_path))
    table = markdown.table(summary).splitlines()
    assert len(table) == 2 + len(comparison.rows(summary))
    assert {line.count("|") for line in table} == {9}
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# First words after 1.20 s instead of 7.61 s")
    assert "**shown impossible**" in text


def test_article_b_has_its_tables_in_every_report(tmp_path: Path) -> None:
    summary = report.write(production_run(tmp_path))
    console = Console(width=112, record=True)
    console.print(report.table(summary))
    terminal = console.export_text()
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    html = unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    for label in ("Time to first byte, ms", "First words painted, ms", "Waiting for the model"):
        assert re.search(rf"^{label} +\S", terminal, flags=re.MULTILINE)
        assert f"| {label} |" in text
        assert f"<td>{label}</td>" in html
    assert re.search(r"^Context assembly +12\.0 +0\.1 % *$", terminal, flags=re.MULTILINE)
    assert "CPU of nginx, ms a request |  |  | 5.00 |  |  |  | 5.00 |" in text
    parser = Balance()
    parser.feed(html)
    assert parser.open == []


def test_what_was_not_measured_of_article_b_is_a_dash(tmp_path: Path) -> None:
    bare = {"views": None, "serialisation_ms": None}
    write = production_run(tmp_path, **bare)
    (tmp_path / "timeline.jsonl").unlink()
    report.write(write)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "What a browser paints was not measured." in text
    assert "| Waiting for the model | 9,100 | 96.8 % | – |  | – |  | – |  | – |  |" in text


def test_the_terminal_shows_the_comparison(tmp_path: Path) -> None:
    summary = report.write(write_run(tmp_path, Shape(run={"interrupted": True})))
    console = Console(width=100, record=True)
    console.print(report.table(summary))
    text = console.export_text()
    assert "INVALID run" in text
    assert "the run was interrupted" in text
    assert "batch: equals the total" in text
    assert re.search(r"Answers identical +200 +of 200", text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.00"),
        (3.241, "3.24"),
        (42.0, "42.0"),
        (7607.2, "7,607"),
        (-1.5, "−1.50"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert comparison.number(value) == text


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (100, 16, "−84 %"),
        (100, 100.2, "0 %"),
        (100, 150, "+50 %"),
        (2, 17, "8.5 ×"),
        (0, 1, ""),
        (1, 0, ""),
    ],
)
def test_changes(before: float, after: float, text: str) -> None:
    assert comparison.change(before, after) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0 %"), (0.0004, "< 0.1 %"), (0.968, "96.8 %"), (0.9996, "> 99.9 %"), (1, "100 %")],
)
def test_tenths(share: float, text: str) -> None:
    assert comparison.tenths(share) == text


def test_the_picture_is_drawn_without_a_browser(tmp_path: Path) -> None:
    report.picture(write_run(tmp_path / "run"), tmp_path / "docs" / "report.png")
    assert (tmp_path / "docs" / "report.png").read_bytes().startswith(b"\x89PNG")


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    return report.main(parser.parse_args(words))


def test_the_command_says_by_its_status_what_the_run_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = write_run(tmp_path / "sound")
    broken_off = write_run(tmp_path / "broken_off", Shape(run={"interrupted": True}))
    assert command(str(sound), "--picture", str(tmp_path / "picture.png")) == 0
    assert command(str(broken_off)) == 1
    assert str(broken_off / "report.html") in capsys.readouterr().out
    assert command(str(tmp_path / "nowhere")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unknown_kind_of_picture_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command(str(tmp_path), "--picture", "picture.doc")
    assert "picture.doc is none of .png" in capsys.readouterr().err
