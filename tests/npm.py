"""Packages from npm, in a folder of their own that is made once for each state of the files behind it."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

BUILD = Path(__file__).parents[1] / "build"
PACKAGES = (".npmrc", "package.json", "package-lock.json")
NPM_S = 110.0


class NpmFailed(Exception):
    """npm could not do what it was asked for; says what it wrote."""


def run(folder: Path, *arguments: str) -> str:
    """What `npm` writes to stdout; raises NpmFailed."""
    command = ["npm", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=NPM_S
    )
    if done.returncode:
        raise NpmFailed(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def installed(source: Path, *more: str) -> Path:
    """A folder with the packages that the lock file in `source` names, and these files of it."""
    files: Sequence[str] = (*PACKAGES, *more)
    state = hashlib.sha256(b"\0".join((source / name).read_bytes() for name in files))
    folder = BUILD / f"{source.name}-{state.hexdigest()[:16]}"
    if not folder.exists():
        BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as place:
            fresh = Path(place) / folder.name
            fresh.mkdir()
            for name in files:
                shutil.copy(source / name, fresh)
            run(fresh, "ci", "--prefer-offline", "--no-progress")
            # Of two test runs at once, one comes second.
            with suppress(OSError):
                fresh.rename(folder)
    return folder
