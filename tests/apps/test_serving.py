"""How the apps start and stop: wrong settings are one clear line, and SIGTERM ends them well."""

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import fastapi_app.__main__
import legacy_flask.__main__
from shared.settings import Settings
from tests.apps.exchange import post
from tests.conftest import APPS
from tests.servers import ROOT, Simulator, app

START_S = 30
OURS = ("CHAT_", "REDIS_")
WELL = (0, -signal.SIGTERM)  # uvicorn ends its work, then raises the signal again


def _started(
    name: str, *options: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs an app that is expected to end by itself."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    return subprocess.run(
        [sys.executable, "-m", name, *options],
        cwd=ROOT,
        env={**clean, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a test's own settings count."""
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("CHAT_MAX_BODY_BYTES", "many", "integer"),
        ("CHAT_CONNECT_TIMEOUT_S", "0", "greater than 0"),
        ("CHAT_API_KEYS", "ada:plain-text", "[0-9a-f]{64}"),
        ("OPENAI_BASE_URL", "not a url", "URL"),
    ],
)
def test_a_wrong_setting_names_the_variable(
    name: str,
    variable: str,
    value: str,
    allowed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "argv", [name, "--port", "0"])
    assert import_module(f"{name}.__main__").main() == 2
    printed, errors = capsys.readouterr()
    assert (printed, errors.count("\n")) == ("", 1)
    assert variable in errors
    assert allowed in errors


@pytest.mark.parametrize("name", APPS)
def test_no_listening_beyond_loopback_without_keys(name: str) -> None:
    result = _started(name, "--host", "0.0.0.0", "--port", "0")
    assert result.returncode == 2
    assert "CHAT_API_KEYS" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("fastapi_app", {}),
        ("fastapi_app", {"CHAT_RESUMABLE": "false", "CHAT_USER_ANSWERS": "2"}),
        ("legacy_flask", {"CHAT_RATE_LIMIT": "30/minute"}),
    ],
)
def test_several_workers_share_nothing_without_redis(name: str, limits: dict[str, str]) -> None:
    result = _started(name, "--workers", "2", "--port", "0", environment=limits)
    assert result.returncode == 2
    assert "REDIS_URL" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", APPS)
def test_a_port_in_use_is_named(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = _started(name, "--port", str(port))
    assert result.returncode not in (0, -9)
    assert f"127.0.0.1:{port}" in result.stderr.replace("('127.0.0.1', ", "127.0.0.1:")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", APPS)
def test_a_port_that_is_no_number_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--port", "eighty"])
    with pytest.raises(SystemExit) as refused:
        import_module(f"{name}.__main__").main()
    assert refused.value.code == 2
    assert "--port" in capsys.readouterr().err


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_ends_it_well(tmp_path: Path, upstream: Simulator, name: str, workers: str) -> None:
    alone = {"CHAT_RESUMABLE": "false"}  # sessions of two workers would need Redis
    with app(name, tmp_path, upstream.base_url, alone, ("--workers", workers)) as server:
        answers = [post(server.url, {"prompt": "hi"}) for _ in range(4)]
        status = server.stop()
    assert {answer.status for answer in answers} == {200}
    assert status in WELL, server.logged()


@pytest.mark.parametrize("name", APPS)
def test_without_a_provider_the_scripted_one_answers(tmp_path: Path, name: str) -> None:
    with app(name, tmp_path, None) as server:
        reply = post(server.url, {"prompt": "hi", "max_tokens": 3}).json()
    assert reply["model"] == "scripted"
    assert reply["finish_reason"] == "length"


@pytest.mark.parametrize("served", [legacy_flask.__main__, fastapi_app.__main__], ids=APPS)
@pytest.mark.parametrize("host", ["::1", "::", "127.0.0.1", "localhost"])
def test_gunicorn_is_told_any_host(served: ModuleType, host: str) -> None:
    options = argparse.Namespace(host=host, port=8001, workers=1, loop="asyncio")
    assert served._Gunicorn(Settings.load(), options).cfg.address == [(host, 8001)]
