"""The façade: what make passes on, what it refuses, and what it says when it cannot set itself up."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = sorted(set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)))
SHOW = '#!/bin/sh\nprintf "%s\\n" "$@"\n'
NASTY = ["1; echo injected", "a b", "'", '"', "`id`", "*", "\\", "x$$(id)", "-v", "é"]


def _make(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments],
        cwd=where,
        env={**inherited, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A copy with nothing installed yet."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-latest.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def ready(empty: Path) -> Path:
    """A copy whose environment is up to date, and whose Python shows what it was called with."""
    _script(empty / ".venv/bin/python", SHOW)
    (empty / ".venv/.installed").touch()
    return empty


def test_help_is_the_default_and_names_every_target(ready: Path) -> None:
    result = _make(ready)
    named = re.findall(r"^  make ([a-z-]+) +\S", result.stdout, re.MULTILINE)
    assert result.returncode == 0
    assert sorted(named) == TARGETS
    assert {"compare", "test", "check", "diff", "demo"} <= set(named)


@pytest.mark.parametrize("value", NASTY)
def test_a_value_reaches_python_as_it_was_given(ready: Path, value: str) -> None:
    result = _make(ready, "compare", f"REQUESTS={value}", f"OUT={value}")
    given = value.replace("$$", "$")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "-m", "loadtests", "run", f"--requests={given}", f"--out={given}"
    ]  # fmt: skip


def test_what_is_not_given_is_not_passed(ready: Path) -> None:
    assert _make(ready, "compare").stdout.splitlines() == ["-m", "loadtests", "run"]


def test_names_become_options(ready: Path) -> None:
    urls = ("LEGACY_URL=http://a/", "STREAMING_URL=http://b/?c=d&e")
    options = _make(ready, "compare", *urls).stdout.splitlines()[3:]
    assert options == ["--legacy-url=http://a/", "--streaming-url=http://b/?c=d&e"]


def test_the_demo_takes_its_port(ready: Path) -> None:
    shown = _make(ready, "demo", "PORT=9000", "OUT=a b").stdout.splitlines()
    assert shown == ["-m", "loadtests", "demo", "--port=9000", "--out=a b"]


def test_a_misspelt_variable_is_refused_before_anything_starts(ready: Path) -> None:
    result = _make(ready, "compare", "REQEUSTS=5")
    assert result.returncode != 0
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "no such variable: REQEUSTS" in result.stderr


BAD = [("REQUESTS", "abc"), ("REQUESTS", "1; echo injected"), ("LEGACY_URL", "not a url")]
"""Each of them is a Python that starts: tests/loadtests/test_run.py has all the others."""


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_one_clear_line(ready: Path, name: str, value: str) -> None:
    _script(ready / ".venv/bin/python", f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" "$@"\n')
    result = _make(ready, "compare", f"{name}={value}", f"OUT={ready / 'out'}")
    said = [line for line in result.stderr.splitlines() if not line.startswith("make: ***")]
    assert result.returncode != 0
    assert len(said) == 1
    assert name in said[0]
    assert not (ready / "out").exists()


def test_diff_succeeds_whether_or_not_there_is_one(ready: Path) -> None:
    for name, text in (("legacy_flask", "a\n"), ("fastapi_app", "b\n")):
        (ready / name).mkdir()
        (ready / name / "app.py").write_text(text)
    result = _make(ready, "diff")
    assert (result.returncode, result.stdout.count("\n+b")) == (0, 1)
    assert result.stdout.splitlines()[-2:] == ["-m", "guide.diff"]
    shutil.rmtree(ready / "fastapi_app")
    assert _make(ready, "diff").returncode != 0


def _python(path: Path, before: str) -> Path:
    """A Python in which these statements have run first."""
    code = f"import sys; {before}; exec(sys.argv[1])"
    return _script(path, f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$2"\n')


def test_an_old_python_is_named(empty: Path) -> None:
    old = _python(empty / "old", "sys.version_info = (3, 9, 2); sys.version = '3.9.2 (old)'")
    result = _make(empty, "test", f"PYTHON={old}")
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed" in result.stderr.splitlines()[0]
    assert "3.9.2" in result.stderr.splitlines()[0]
    assert not (empty / ".venv").exists()


def test_a_missing_venv_module_is_named(empty: Path) -> None:
    bare = _python(empty / "bare", "sys.modules['ensurepip'] = None")
    result = _make(empty, "test", f"PYTHON={bare}")
    assert result.returncode != 0
    assert "apt-get install python3-venv" in result.stderr.splitlines()[0]
    assert not (empty / ".venv").exists()


@pytest.mark.parametrize("python", ["", "/nowhere/python3"])
def test_no_python_at_all_is_said(empty: Path, python: str) -> None:
    result = _make(empty, "test", f"PYTHON={python}")
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed" in result.stderr.splitlines()[0]


def test_a_newer_lock_rebuilds_the_environment(ready: Path) -> None:
    assert _make(ready, "--question", ".venv/.installed").returncode == 0
    stamp = (ready / ".venv/.installed").stat()
    os.utime(ready / "requirements.lock", (stamp.st_atime + 1, stamp.st_mtime + 1))
    assert _make(ready, "--question", ".venv/.installed").returncode == 1


def _lacking(folder: Path, *here: str) -> dict[str, str]:
    """An environment in which only these programs are found, beside what a shell needs."""
    tools = folder / "tools"
    for name in ("bash", "id", *here):
        found = shutil.which(name) or "/bin/true"
        (tools / name).parent.mkdir(exist_ok=True)
        (tools / name).symlink_to(found)
    return {"PATH": str(tools)}


def test_what_is_missing_and_cannot_be_installed_is_said_in_one_line(tmp_path: Path) -> None:
    here = ("make", "cc", "nginx", "node", "npm", "prlimit", "ip", "python3")
    script = (ROOT / ".ci/packages").read_text("utf-8").replace(":/usr/sbin:/sbin", "")
    result = subprocess.run(
        ["bash", "-c", script],
        env=_lacking(tmp_path, *here),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    [line] = result.stderr.splitlines()
    assert "redis-server chromium" in line
    assert "nginx" not in line


def test_nothing_is_said_when_nothing_is_missing() -> None:
    result = subprocess.run([ROOT / ".ci/packages"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
