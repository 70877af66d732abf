"""What `deploy/` ships is read by the programs that it is for, and says the same as the stacks themselves."""

import argparse
import configparser
import runpy
import shutil
from pathlib import Path

import pytest
from gunicorn.config import Config

from legacy_flask.__main__ import _Gunicorn
from loadtests import deploy_check
from loadtests.deploy_check import DEPLOY
from shared.settings import Settings

UNITS = ("fastapi_app@.service", "legacy_flask.service")
TYPOS = {
    "nginx.conf": ("proxy_buffering off", "proxy_bufering off", "unknown directive"),
    "fastapi_app@.service": ("KillMode", "KillMod", "Unknown key"),
    "legacy_flask.service": (".venv/bin/gunicorn", ".venv/bin/gunicron", "not executable"),
    "gunicorn.conf.py": ("timeout = 120", "timeout = 'long'", "Invalid value for timeout"),
}


def checked(folder: Path) -> int:
    return deploy_check.main(argparse.Namespace(folder=folder))


def test_every_program_takes_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(DEPLOY) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", TYPOS)
def test_a_typo_is_caught_and_its_place_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, told = TYPOS[name]
    folder = Path(shutil.copytree(DEPLOY, tmp_path / "deploy"))
    text = (folder / name).read_text("utf-8")
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new), "utf-8")
    assert checked(folder) == 1
    assert told in capsys.readouterr().err


def test_nginx_names_the_line_of_the_shipped_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(DEPLOY, tmp_path / "deploy"))
    lines = (folder / "nginx.conf").read_text("utf-8").splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "proxy_buffering off" in line)
    lines[number - 1] = lines[number - 1].replace("proxy_buffering", "proxy_bufering")
    (folder / "nginx.conf").write_text("\n".join(lines), "utf-8")
    checked(folder)
    assert f"{folder}/nginx.conf:{number}" in capsys.readouterr().err


def test_a_program_that_is_not_here_fails_in_ci_and_is_told_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("loadtests.deploy_check.PLACES", "/nowhere")
    monkeypatch.setattr("loadtests.nginx.PLACES", "/nowhere")
    monkeypatch.setenv("CI", "true")
    assert checked(DEPLOY) == 1
    assert "there is no systemd-analyze" in capsys.readouterr().err
    monkeypatch.delenv("CI")
    assert checked(DEPLOY) == 0
    assert "no nginx here, so what it reads is not checked" in capsys.readouterr().err


def test_gunicorn_is_set_as_the_batch_stack_sets_it() -> None:
    settings = Settings.load()
    here = argparse.Namespace(host="127.0.0.1", port=8001, workers=2)
    own = _Gunicorn(settings, here).cfg
    shipped = Config()
    names = runpy.run_path(str(DEPLOY / "gunicorn.conf.py"))
    for name in (name for name in names if name in shipped.settings):
        shipped.set(name, names[name])
    shipped.set("bind", "[127.0.0.1]:8001")
    shipped.set("wsgi_app", None)
    assert _changed(shipped) == _changed(own)


def _changed(config: Config) -> dict[str, object]:
    """What is not gunicorn's default."""
    default = Config().settings
    return {n: s.get() for n, s in config.settings.items() if s.get() != default[n].get()}


@pytest.mark.parametrize("name", UNITS)
def test_a_stop_may_take_longer_than_the_drain(name: str) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # keys keep their letters
    unit.read(DEPLOY / name)
    shipped = dict(
        line.split("=", 1)
        for line in (DEPLOY / "chat.env").read_text("utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    # gunicorn adds 5 s of its own behind the drain.
    assert float(unit["Service"]["TimeoutStopSec"]) > float(shipped["CHAT_DRAIN_GRACE_S"]) + 10


def test_nginx_waits_longer_than_a_batch_answer_may_take() -> None:
    conf = (DEPLOY / "nginx.conf").read_text("utf-8")
    longest = Settings.load().answer_timeout_s
    for directive in ("proxy_read_timeout", "worker_shutdown_timeout"):
        line = next(line for line in conf.splitlines() if line.strip().startswith(directive))
        assert float(line.split()[1].rstrip("s;")) > longest
