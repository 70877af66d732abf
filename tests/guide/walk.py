"""Follows the guide as a person would: its commands in order, in one shell, each against what the text shows.

Commands stand in blocks marked `console`, after a `$`; what follows one is what it prints, where `...` stands
for anything. A command that ends in `&` runs on while the next ones do.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PORT = re.compile(r"(?<=127\.0\.0\.1:)\d{4}|(?<=PORT=)\d{4}|(?<=--port )\d{4}")
NOTICE = re.compile(r"\[\d+\][+-]? ")  # bash tells of its jobs
LONGEST_S = 150.0
DONE = "end-of-the-command"


@dataclass(frozen=True, slots=True)
class Command:
    """A line to type, and what the guide says that it prints."""

    line: str
    printed: str


def commands(guide: str) -> list[Command]:
    """Every command of the guide, in order."""
    typed = (
        part for block in BLOCK.findall(guide) for part in re.split(r"^\$ ", block, flags=re.M)
    )
    split = (part.partition("\n") for part in typed if part.strip())
    return [Command(line, printed.strip("\n")) for line, _, printed in split]


def shown_only(guide: str) -> list[str]:
    """The commands of the blocks marked `sh`, which take too long to be walked, without their comments."""
    lines = (line for block in SHELL_BLOCK.findall(guide) for line in block.splitlines())
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


def as_told(told: str, printed: str) -> bool:
    """Whether an output is the one that the guide shows; `...` stands for anything, or nothing.

    On a line of its own it stands for whole lines, or none.
    """
    pattern = "".join(map(_pattern, told.splitlines(keepends=True)))
    return re.fullmatch(pattern, printed.strip("\n"), re.DOTALL) is not None


def _pattern(line: str) -> str:
    return r"(?:.*?\n)?" if line == "...\n" else ".*?".join(map(re.escape, line.split("...")))


def with_ports(text: str, ports: dict[str, int]) -> str:
    """The text with each port of the guide replaced by one that is free here."""
    return PORT.sub(lambda found: str(ports.get(found[0], found[0])), text)


class Shell:
    """One bash with job control, as in a terminal."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        Thread(target=self._read, daemon=True).start()
        self.run("set -m")

    def run(self, line: str) -> str:
        """What the command printed; raises TimeoutError for one that does not end."""
        assert self._process.stdin
        self._process.stdin.write(f"{line}\necho; echo {DONE}\n")
        self._process.stdin.flush()
        printed = []
        while (text := self._next(line)) != DONE:
            if not NOTICE.match(text):
                printed.append(text)
        return "\n".join(printed).strip("\n")

    def close(self) -> None:
        """Ends the shell and whatever it still runs."""
        for group in self._groups():
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _groups(self) -> list[int]:
        return [int(number) for number in self.run("jobs -p").split()]

    def _next(self, line: str) -> str:
        try:
            text = self._lines.get(timeout=LONGEST_S)
        except Empty:
            raise TimeoutError(f"no end within {LONGEST_S:g} s: {line}") from None
        if text is None:
            raise TimeoutError(f"the shell ended at: {line}")
        return text

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


@contextmanager
def shell(root: Path, folder: Path) -> Iterator[Shell]:
    """A shell in a folder that looks like the repository."""
    for entry in root.iterdir():
        if entry.name not in ("out", ".git"):
            (folder / entry.name).symlink_to(entry)
    opened = Shell(folder)
    try:
        yield opened
    finally:
        opened.close()


def _environment() -> dict[str, str]:
    ours = ("CHAT_", "OPENAI_", "MAKE", "MFLAGS", "PYTEST_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return {
        **kept,
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "120",
        # The tests that the guide names run in the suite; here it is their command that is tried.
        "PYTEST_ADDOPTS": "--hypothesis-profile=few",
        "PATH": f"{kept['PATH']}:/usr/sbin:/sbin",
    }
