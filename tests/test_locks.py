"""The lock files: every requirement pinned and hashed, no address of an index, two lines of FastAPI."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-latest.lock")
PIN = re.compile(r"^([a-z0-9.-]+)(?:\[[a-z0-9,-]+\])?==(\S+)(?: ; .+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def _pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return {match[1]: match[2] for line in lines if (match := PIN.match(line))}


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_pin_or_its_hash(name: str) -> None:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    strays = [line for line in lines if not PIN.match(line) and not HASH.match(line)]
    assert len(lines) > 100
    assert strays == []


@pytest.mark.parametrize(
    "line",
    ["--index-url https://index.example/simple", "flask==3.1.3", "flask @ https://x/flask.whl"],
)
def test_anything_else_is_found(line: str) -> None:
    assert not PIN.match(line)
    assert not HASH.match(line)


def test_the_charter_and_the_current_line() -> None:
    pinned, latest = (_pins(name) for name in LOCKS)
    assert (pinned["fastapi"], pinned["starlette"]) == ("0.115.14", "0.46.2")
    assert int(latest["fastapi"].split(".")[1]) >= 132
    assert int(latest["starlette"].split(".")[0]) >= 1


def test_all_else_is_the_same() -> None:
    pinned, latest = (_pins(name) for name in LOCKS)
    differ = {name for name in pinned if pinned[name] != latest.get(name)}
    assert differ == {"fastapi", "starlette"}
