"""The import contracts of pyproject.toml (law 4) hold, and a mutant of each breaks it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("legacy_flask", "fastapi_app", "shared", "loadtests", "guide")

APART = "The apps never see each other"
SHARED = "shared knows neither the apps nor the load tests"
FRAMEWORKS = "shared imports no web framework"
SDK = "Only shared.llm.openai imports the OpenAI SDK"
TEXT = "The guide reads the apps as text"
MUTANTS = [
    ("legacy_flask", "import fastapi_app.app", APART),
    ("fastapi_app", "import legacy_flask.app", APART),
    ("fastapi_app", "import loadtests", APART),
    ("loadtests", "import legacy_flask.app", APART),
    ("shared", "import loadtests", SHARED),
    ("shared", "import legacy_flask.app", SHARED),
    ("shared", "import flask", FRAMEWORKS),
    ("shared", "from starlette.requests import Request", FRAMEWORKS),
    ("shared", "import uvicorn", FRAMEWORKS),
    ("shared", "import openai", SDK),
    ("fastapi_app", "from openai import AsyncOpenAI", SDK),
    ("guide", "import fastapi_app.app", TEXT),
]


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_the_contracts_hold() -> None:
    result = _lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("package", "line", "contract"), MUTANTS)
def test_a_mutant_breaks_its_contract(copy: Path, package: str, line: str, contract: str) -> None:
    mutant = copy / package / "mutant.py"
    mutant.write_text(line + "\n", "utf-8")
    try:
        result = _lint(copy)
    finally:
        mutant.unlink()
    broken = [row for row in result.stdout.splitlines() if " BROKEN" in row]
    assert result.returncode == 1
    assert any(row.startswith(contract) for row in broken), result.stdout + result.stderr
