"""The guide says what the code says: a copy of the repository with one thing changed is refused."""

import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import ROOT

BUILT = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "out", "build", "*.egg-info")


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the working tree, without what is built in it."""
    root = tmp_path_factory.mktemp("copy") / "repository"
    shutil.copytree(ROOT, root, ignore=BUILT)
    (root / ".venv").symlink_to(ROOT / ".venv")
    return root


def guide_check(root: Path) -> "subprocess.CompletedProcess[str]":
    """`make check` runs it first."""
    return subprocess.run(
        ["make", "guide-check"], cwd=root, capture_output=True, text=True, check=False
    )


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def _line_in_one_app(root: Path) -> str:
    changed(root / "fastapi_app/delivery.py", '"text/event-stream" in', '"text/events" in')
    return 'accepts = "text/events" in'


def _line_in_the_other_app(root: Path) -> str:
    changed(root / "legacy_flask/errors.py", "error.code or 500", "error.code or 501")
    return "error.code or 501"


def _line_that_the_apps_share(root: Path) -> str:
    changed(root / "legacy_flask/auth.py", '"Authorization"', '"X-Key"')
    return '-    return services().keys.identify(request.headers.get("X-Key"), request.server)'


def _line_of_a_listing(root: Path) -> str:
    changed(root / "shared/schemas.py", "raise Unfinished(None)", "raise Unfinished")
    return "raise Unfinished"


def _figure(root: Path) -> str:
    changed(root / "migration_guide.md", "- First content after 7,", "- First content after 9,")
    return "- First content after 9,"


def _result(root: Path) -> str:
    path = root / "results/compare/summary.json"
    summary = json.loads(path.read_text("utf-8"))
    summary["stacks"]["legacy_flask"]["cpu_ms_per_request"] = 93.0
    path.write_text(json.dumps(summary), "utf-8")
    return "- CPU: 93.0 ms an answer"


def _ledger_entry(root: Path) -> str:
    path = root / "differences.toml"
    first = tomllib.loads(path.read_text("utf-8"))["difference"][0]["id"]
    _, *entries = path.read_text("utf-8").split("[[difference]]")
    path.write_text("[[difference]]".join(["", *entries[1:]]), "utf-8")
    return f'<a id="{first}">'


def _setting(root: Path) -> str:
    changed(root / "shared/settings.py", "default=15.0", "default=16.0")
    return "| 16 |"


CHANGES: list[Callable[[Path], str]] = [
    _line_in_one_app,
    _line_in_the_other_app,
    _line_that_the_apps_share,
    _line_of_a_listing,
    _figure,
    _result,
    _ledger_entry,
    _setting,
]


def test_the_guide_as_it_is_passes(as_it_is: Path) -> None:
    done = guide_check(as_it_is)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def refused(
    as_it_is: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], list[str]]:
    """The line that each change has to show, and the lines that a copy with all of them is told of."""
    copy = tmp_path_factory.mktemp("changed") / "copy"
    shutil.copytree(as_it_is, copy, symlinks=True)
    lines = [change(copy) for change in CHANGES]
    done = guide_check(copy)
    assert done.returncode != 0
    return lines, [line for line in done.stdout.splitlines() if line.startswith(("+", "-"))]


@pytest.mark.parametrize("number", range(len(CHANGES)), ids=[change.__name__ for change in CHANGES])
def test_what_has_changed_alone_is_refused(
    refused: tuple[list[str], list[str]], number: int
) -> None:
    lines, told = refused
    assert any(lines[number] in line for line in told)


@pytest.mark.parametrize("change", [_line_in_one_app, _figure, _ledger_entry])
def test_make_check_fails_for_one_change(
    as_it_is: Path, tmp_path: Path, change: Callable[[Path], str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(as_it_is, copy, symlinks=True)
    line = change(copy)
    done = subprocess.run(["make", "check"], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert line in done.stdout
