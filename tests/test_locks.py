"""The lock files: every requirement pinned and hashed, no address of a registry, two lines of FastAPI."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-latest.lock")
NPM_FOLDER = ROOT / "tests/fastapi_app/eventsource"
PIN = re.compile(r"^([a-z0-9.-]+)(?:\[[a-z0-9,-]+\])?==(\S+)(?: ; .+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")
EXACT = re.compile(r"^\d+\.\d+\.\d+$")
INTEGRITY = re.compile(r"^sha512-[A-Za-z0-9+/]{86}==$")
Package = dict[str, Any]


def _pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return {match[1]: match[2] for line in lines if (match := PIN.match(line))}


def _npm(name: str) -> Package:
    value: Package = json.loads((NPM_FOLDER / name).read_text("utf-8"))
    return value


def _sound(package: Package) -> bool:
    """Whether npm can take the package from any registry, and only in this one form."""
    pinned = EXACT.match(package.get("version", "")) and INTEGRITY.match(
        package.get("integrity", "")
    )
    return bool(pinned) and package.keys().isdisjoint({"resolved", "link"})


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


def test_an_npm_package_is_a_version_and_its_hash() -> None:
    packages = _npm("package-lock.json")["packages"]
    asked_for = _npm("package.json")["dependencies"]
    assert packages.pop("")["dependencies"] == asked_for
    assert [name for name, package in packages.items() if not _sound(package)] == []
    assert {name: packages[f"node_modules/{name}"]["version"] for name in asked_for} == asked_for


@pytest.mark.parametrize(
    "change",
    [
        {"resolved": "https://registry.example/x.tgz"},
        {"version": "^3.1.1"},
        {"integrity": "sha1-x"},
        {"integrity": ""},
        {"link": True},
    ],
)
def test_any_other_npm_package_is_found(change: Package) -> None:
    package = {"version": "3.1.1", "integrity": "sha512-" + "A" * 86 + "=="}
    assert _sound(package)
    assert not _sound(package | change)
