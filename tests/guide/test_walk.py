"""The guide's commands, followed in order: each does what the text says."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.guide.walk import PORT, Command, as_told, commands, shell, shown_only, with_ports
from tests.servers import ROOT, free_port

GUIDE = (ROOT / "migration_guide.md").read_text("utf-8")


def free_ports() -> dict[str, int]:
    return {port: free_port() for port in sorted(set(PORT.findall(GUIDE)))}


@pytest.mark.timeout(600)
def test_each_command_does_what_the_text_says(tmp_path: Path) -> None:
    ports = free_ports()
    with shell(ROOT, tmp_path) as terminal:
        for command in commands(GUIDE):
            line = with_ports(command.line, ports)
            printed = terminal.run(line)
            assert as_told(command.printed, printed), (
                f"$ {line}\n{printed}\n\nand not\n{command.printed}"
            )


@pytest.mark.parametrize("line", shown_only(GUIDE))
def test_a_command_that_takes_too_long_is_one_that_make_knows(line: str) -> None:
    assert line.startswith("make ")
    known = subprocess.run(
        ["make", "-n", *line.split()[1:]], cwd=ROOT, capture_output=True, check=False
    )
    assert known.returncode == 0


def test_every_command_in_prose_is_one_that_make_knows() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", GUIDE))
    assert named
    assert named <= targets


def test_commands_are_read_with_what_they_print() -> None:
    text = "```console\n$ one\nsaid\n  more\n$ two\n```\n\n```sh\nnot me\n```\n"
    assert commands(text) == [Command("one", "said\n  more"), Command("two", "")]
    assert shown_only(text) == ["not me"]


@pytest.mark.parametrize(
    ("told", "printed", "same"),
    [
        ("ready", "ready\n", True),
        ("ready", "already", False),
        ("...\nready", "ready", True),
        ("...\nready", "waiting\nwaiting\nready", True),
        ("...\nready", "not ready", False),
        ('{"id":"...","n":1}', '{"id":"x","n":1}', True),
        ('{"id":"...","n":1}', '{"id":"x","n":2}', False),
        ("...\n... passed in ...", "....\n4 passed in 1.0s", True),
        ("...\n... passed in ...", "....\n1 failed in 1.0s", False),
        ("", "anything", False),
    ],
)
def test_an_output_is_compared_with_the_text(told: str, printed: str, same: bool) -> None:
    assert as_told(told, printed) is same
