"""SECURITY.md held to the code: what Starlette 0.46.2 never got fixed is refused."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ROOT / "fastapi_app"  # law 4: nothing else meets a request of Starlette

IMPORTS = [
    "from fastapi import Form",
    "from fastapi import File",
    "from fastapi import UploadFile",
    "from fastapi.param_functions import Form",
    "from fastapi.params import File",
    "from fastapi.datastructures import UploadFile",
    "from starlette.datastructures import UploadFile",
    "from starlette.formparsers import MultiPartParser",
    "from fastapi.responses import FileResponse",
    "from starlette.responses import FileResponse",
    "from fastapi.staticfiles import StaticFiles",
    "from starlette.staticfiles import StaticFiles",
    "from starlette.middleware.base import BaseHTTPMiddleware",
]

# Ruff sees imported names only; these are attributes of a request or of an app.
ATTRIBUTES = {
    "form": "CVE-2026-54283: form parsing has no limits",
    "url_for": "CVE-2026-48710: built from the Host header",
    "base_url": "CVE-2026-48710: built from the Host header",
    "middleware": "BaseHTTPMiddleware: write pure ASGI middleware",
}
REQUEST_ATTRIBUTES = {"url": "CVE-2026-48710: the Host header poisons it; read scope['path']"}


def refused(source: str) -> Iterator[str]:
    """The attributes in `source` that SECURITY.md forbids, as `line: reason`."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        reason = ATTRIBUTES.get(node.attr) or (
            REQUEST_ATTRIBUTES.get(node.attr) if _is_request(node.value) else None
        )
        if reason:
            yield f"{node.lineno}: .{node.attr}: {reason}"


def _is_request(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in {"request", "req", "_request", "connection", "websocket"}


def _ruff(source: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "fastapi_app/mutant.py"]
    return subprocess.run(
        [*command, "--output-format", "concise", "-"],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("line", IMPORTS)
def test_the_lint_fires_on_a_forbidden_import(line: str) -> None:
    name = line.split()[-1]
    result = _ruff(f"{line}\n\nprint({name})\n")
    assert result.returncode == 1
    assert "TID251" in result.stdout


def test_the_lint_is_silent_without_one() -> None:
    result = _ruff("from fastapi import Request\n\nprint(Request)\n")
    assert result.returncode == 0, result.stdout


def test_no_forbidden_attribute() -> None:
    sources = sorted(CODE.rglob("*.py"))
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources
        for line in refused(path.read_text("utf-8"))
    ]
    assert sources
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "path = request.url.path",
        "path = self.request.url",
        "data = await request.form()",
        "link = request.url_for('chat')",
        "base = request.base_url",
        "@app.middleware('http')\nasync def log(request, call_next): ...",
    ],
)
def test_a_forbidden_attribute_is_found(line: str) -> None:
    assert list(refused(line))


def test_other_urls_are_left_alone() -> None:
    assert list(refused("settings.openai_base_url; target.url; app.add_middleware(X)")) == []
