"""The sources of `web/` in a folder of their own, with the packages that the lock file names."""

import hashlib
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
BUILD = ROOT / "build"
PACKAGES = (".npmrc", "package.json", "package-lock.json")
MADE = ("node_modules", "build")
NPM_S = 110.0


class NpmFailed(Exception):
    """npm could not do what it was asked for; says what it wrote."""


def checkout(folder: Path) -> Path:
    """A copy of the sources in this folder, ready to build; skips the test where there is no npm."""
    if shutil.which("npm") is None:
        pytest.skip("the page is built by node and npm; on Debian: apt-get install nodejs npm")
    copy = folder / "web"
    shutil.copytree(WEB, copy, ignore=shutil.ignore_patterns(*MADE))
    (copy / "node_modules").symlink_to(_installed() / "node_modules")
    return copy


def change(copy: Path, name: str, old: str, new: str) -> None:
    """Makes a mutant of it."""
    source = copy / name
    text = source.read_text("utf-8")
    assert old in text
    source.write_text(text.replace(old, new), "utf-8")


def run(copy: Path, *arguments: str) -> str:
    """What `npm` writes to stdout; raises NpmFailed."""
    command = ["npm", *arguments]
    done = subprocess.run(
        command, cwd=copy, capture_output=True, text=True, check=False, timeout=NPM_S
    )
    if done.returncode:
        raise NpmFailed(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _installed() -> Path:
    """A folder with the packages; made once for each state of the lock file."""
    state = hashlib.sha256(b"\0".join((WEB / name).read_bytes() for name in PACKAGES))
    folder = BUILD / f"web-{state.hexdigest()[:16]}"
    if not folder.exists():
        BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as place:
            fresh = Path(place) / folder.name
            fresh.mkdir()
            for name in PACKAGES:
                shutil.copy(WEB / name, fresh)
            run(fresh, "ci", "--prefer-offline", "--no-progress")
            # Of two test runs at once, one comes second.
            with suppress(OSError):
                fresh.rename(folder)
    return folder
