"""The sources of `web/` in a folder of their own, with the packages that the lock file names."""

import shutil
from pathlib import Path

import pytest

from tests.npm import installed

WEB = Path(__file__).parents[2] / "web"
MADE = ("node_modules", "build")


def checkout(folder: Path) -> Path:
    """A copy of the sources in this folder, ready to build; skips the test where there is no npm."""
    if shutil.which("npm") is None:
        pytest.skip("the page is built by node and npm; on Debian: apt-get install nodejs npm")
    copy = folder / "web"
    shutil.copytree(WEB, copy, ignore=shutil.ignore_patterns(*MADE))
    (copy / "node_modules").symlink_to(installed(WEB) / "node_modules")
    return copy


def change(copy: Path, name: str, old: str, new: str) -> None:
    """Makes a mutant of it."""
    source = copy / name
    text = source.read_text("utf-8")
    assert old in text
    source.write_text(text.replace(old, new), "utf-8")
