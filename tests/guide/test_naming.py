"""Nothing that a team meets goes unnamed, and nothing that the guide says leads nowhere."""

import io
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from guide import blocks
from guide.regions import LEFT, MARK, RIGHT, ROOT, named, regions, twins
from guide.steps import steps
from loadtests.ledger import load_ledger
from tests.guide import naming
from tests.pitfalls.catalogue import catalogue

GUIDE = (ROOT / "migration_guide.md").read_text("utf-8")
BOTH = GUIDE + (ROOT / "README.md").read_text("utf-8")
SLUGS = {step.slug for step in steps(GUIDE)}


def test_everything_that_a_team_meets_is_named() -> None:
    assert naming.unnamed(ROOT, BOTH) == []


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("`fastapi_app/sse.py`", "file fastapi_app/sse.py"),
        ("`delivery.py`", "file delivery.py"),
        ("`CHAT_LOG_SQLITE`", "setting CHAT_LOG_SQLITE"),
        ("`token_timeout`", "error code token_timeout"),
        ("`make slow-readers`", "target make slow-readers"),
    ],
)
def test_a_name_that_is_lost_is_missed(name: str, complaint: str) -> None:
    assert naming.unnamed(ROOT, BOTH.replace(name, "")) == [f"{complaint} is not named"]


def test_every_hunk_of_the_diff_is_in_a_step() -> None:
    assert naming.unexplained(ROOT, GUIDE) == []


def test_a_hunk_that_no_step_shows_is_missed() -> None:
    less = GUIDE.replace('diff("auth.py", "caller")', 'diff("auth.py")')
    lines = naming.unexplained(ROOT, less)
    assert lines
    assert all("auth.py" in line and "(auth.py#caller)" in line for line in lines)


def test_a_file_that_no_step_explains_is_missed() -> None:
    less = GUIDE.replace("`fastapi_app/watchdog.py` notices", "something notices")
    assert naming.unexplained(ROOT, less) == ["fastapi_app/watchdog.py is in no step of the guide"]


def test_a_changed_line_is_found_in_both_apps(tmp_path: Path) -> None:
    for app, text in ((LEFT, "a\nb\nc\n"), (RIGHT, "a\nB\nB\nc\n")):
        (tmp_path / app).mkdir()
        (tmp_path / app / "x.py").write_text(text)
    assert list(naming.changed_lines(tmp_path, "x.py")) == [(LEFT, 2), (RIGHT, 2), (RIGHT, 3)]


def test_twins_have_the_same_regions_in_the_same_order() -> None:
    for path in twins():
        left, right = ([one.name for one in named(ROOT, f"{app}/{path}")] for app in (LEFT, RIGHT))
        assert left
        assert left == [name for name in right if name in left]


def test_regions_leave_no_line_out() -> None:
    source = "import os\n\n# region: one\na = 1\n\n\n# region: two\nclass B:\n    # region: three\n    c = 1\n"
    found = [(one.name, one.first, one.last) for one in regions(source)]
    assert found == [("one", 1, 6), ("two", 7, 8), ("three", 9, 10)]
    with pytest.raises(ValueError, match="same name"):
        regions("# region: one\n# region: one\n")


def test_no_figure_is_typed_by_hand() -> None:
    assert naming.typed_figures(GUIDE) == []


@pytest.mark.parametrize("figure", ["84 %", "1.2 s", "20 µs", "4.7 times", "133 KiB", "1,204 ms"])
def test_a_figure_in_the_prose_is_found(figure: str) -> None:
    assert naming.typed_figures(f"It takes {figure} here.") == [figure]


def test_no_link_leads_nowhere() -> None:
    assert naming.broken_links(ROOT, GUIDE) == []
    assert naming.broken_links(ROOT, "[x](#nowhere) `shared/gone.py`") == [
        "nowhere",
        "shared/gone.py",
    ]


def test_the_contents_name_every_step() -> None:
    contents = GUIDE.partition("\n## ")[0]
    assert re.findall(r"\]\(#([^)]+)\)", contents) == [step.slug for step in steps(GUIDE)]


def test_each_step_says_why_what_and_how_to_check_and_undo() -> None:
    _, *parts = GUIDE.split("\n## ")
    for part in parts[: len(SLUGS) - 3]:
        title = part.partition("\n")[0]
        said = re.findall(r"^\*\*(Why|Change|Verify|Undo)\.\*\*", part, re.MULTILINE)
        assert said in (["Why", "Change", "Verify", "Undo"], ["Why", "Verify", "Undo"]), title


def test_the_ledger_and_the_catalogue_lead_to_steps_and_regions() -> None:
    places = {f"{path}#{one.name}" for path in twins() for one in named(ROOT, f"{RIGHT}/{path}")}
    for difference in load_ledger(ROOT / "differences.toml"):
        assert difference.guide in SLUGS
        assert difference.cause
        assert {*difference.cause} <= places
    assert {entry.PITFALL.guide for entry in catalogue()} <= SLUGS


def test_a_twin_without_marks_is_unexplained(tmp_path: Path) -> None:
    for app in (LEFT, RIGHT):
        shutil.copytree(ROOT / app, tmp_path / app)
    path = tmp_path / RIGHT / "auth.py"
    path.write_text(path.read_text("utf-8").replace("# region: caller\n", ""), "utf-8")
    assert any("no region" in line for line in naming.unexplained(tmp_path, GUIDE))


def printed(path: str, name: str) -> str:
    with redirect_stdout(io.StringIO()) as said:
        blocks.diff(path, name)
    return said.getvalue()


@pytest.mark.parametrize("app", [LEFT, RIGHT])
def test_any_line_that_is_edited_in_one_app_alone_changes_the_guide(
    tmp_path: Path, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for twin in (LEFT, RIGHT):
        shutil.copytree(ROOT / twin, tmp_path / twin)
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    shown = {place for step in steps(GUIDE) for place in step.shown}
    for path in twins(tmp_path):
        file = tmp_path / app / path
        text = file.read_text("utf-8")
        lines = text.splitlines()
        for region in regions(text):
            assert f"{path}#{region.name}" in shown
            before = printed(path, region.name)
            for number in range(region.first - 1, region.last):
                if MARK.match(lines[number]) or not lines[number]:
                    continue
                edited = [*lines[:number], f"{lines[number]} # edited", *lines[number + 1 :]]
                file.write_text("\n".join(edited), "utf-8")
                assert printed(path, region.name) != before, f"{file}:{number + 1}"
        file.write_text(text, "utf-8")
