"""The guide says what the code says: a copy of the repository with one thing changed is refused."""

import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import ROOT

READ = (
    "legacy_flask",
    "fastapi_app",
    "shared",
    "guide",
    "loadtests",
    "tests/pitfalls",
    "results",
    "examples",
)
FILES = (
    "migration_guide.md",
    "differences.toml",
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    "tests/__init__.py",
    "tests/servers.py",
    "tests/chromium.py",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the guide is made from, and the guide."""
    for name in READ:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


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
    return '-    return services().keys.identify(request.headers.get("X-Key"))'


def _line_of_a_listing(root: Path) -> str:
    changed(root / "shared/schemas.py", "raise Unfinished(None)", "raise Unfinished")
    return "raise Unfinished"


def _figure(root: Path) -> str:
    changed(root / "migration_guide.md", "- First content after 7,", "- First content after 9,")
    return "- First content after 9,"


def _result(root: Path) -> str:
    changed(
        root / "results/compare/summary.json", '"cpu_ms_per_request":', '"cpu_ms_per_request":9'
    )
    return "CPU: 9"


def _ledger_entry(root: Path) -> str:
    path = root / "differences.toml"
    first = tomllib.loads(path.read_text("utf-8"))["difference"][0]["id"]
    _, *entries = path.read_text("utf-8").split("[[difference]]")
    path.write_text("[[difference]]".join(["", *entries[1:]]), "utf-8")
    return f'<a id="{first}">'


def _setting(root: Path) -> str:
    changed(root / "shared/settings.py", "default=15.0", "default=16.0")
    return "| 16 |"


Change = Callable[[Path], str]


@pytest.mark.parametrize(
    "change",
    [
        _line_in_one_app,
        _line_in_the_other_app,
        _line_that_the_apps_share,
        _line_of_a_listing,
        _figure,
        _result,
        _ledger_entry,
        _setting,
    ],
)
def test_what_has_changed_alone_is_shown_and_refused(copy: Path, change: Change) -> None:
    line = change(copy)
    done = guide_check(copy)
    assert done.returncode != 0
    assert any(line in told for told in done.stdout.splitlines() if told.startswith(("+", "-")))


def test_the_guide_as_it_is_passes(copy: Path) -> None:
    done = guide_check(copy)
    assert (done.returncode, done.stderr) == (0, "")


def test_make_check_asks_for_it() -> None:
    planned = subprocess.run(
        ["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "cogapp" in planned.stdout
    assert "--check" in planned.stdout
