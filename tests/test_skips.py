"""`--forbid-skips`, which CI runs with, fails a run that skipped a test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPS = "import pytest\n\ndef test_nothing():\n    pytest.skip('no reason')\n"
PASSES = "def test_something():\n    assert True\n"


@pytest.mark.parametrize(
    ("source", "options", "status"),
    [(SKIPS, ["--forbid-skips"], 1), (SKIPS, [], 0), (PASSES, ["--forbid-skips"], 0)],
)
def test_a_skip_fails_the_run(tmp_path: Path, source: str, options: list[str], status: int) -> None:
    (tmp_path / "test_it.py").write_text(source, "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    clean = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    result = subprocess.run(
        [*command, f"--rootdir={tmp_path}", *options, str(tmp_path)],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == status, result.stdout + result.stderr
