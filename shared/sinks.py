"""Where records go: a file, a pipe or stdout as lines of JSON, a SQLite database as rows."""

import json
import os
import re
import select
import sqlite3
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shared.record import Record

BUSY_S = 5.0  # for the lock of the database, which other processes take in no order
WAL_PAUSE_S = 0.01
FULL_S = 0.2  # for a reader to make room in a pipe
ATOMIC_BYTES = select.PIPE_BUF  # POSIX: a write of at most so much never mixes with another one
STDOUT = 1
# A path and not importlib.resources, which imports when it is called: a fork that another thread makes
# in the middle of that leaves the child with half a module for good.
SQL = Path(__file__).with_name("streamlog.sql")
PART = re.compile(r"^-- part: (\w+)\n", re.MULTILINE)


class Lines:
    """A file, a pipe or stdout; takes whole lines out of `waiting` as they are written."""

    def __init__(self, path: str) -> None:
        self.name = "stdout" if path == "-" else path
        self._path = path
        self._torn = False

    def write(self, waiting: deque[Record]) -> None:
        """Raises OSError, TimeoutError when a pipe stays full."""
        with self._opened() as descriptor:
            while waiting:
                _await_room(descriptor)
                data = self._next(waiting)
                done = data[: os.write(descriptor, data)]
                # A disk that fills up takes part of a line: that line is written again, on its own.
                for _ in range(done.count(b"\n") - self._torn):
                    waiting.popleft()
                self._torn = not done.endswith(b"\n")

    def close(self) -> None:
        """Nothing is open between two batches, so that a file that was moved away is left at once."""

    @contextmanager
    def _opened(self) -> Iterator[int]:
        if self._path == "-":
            yield STDOUT
            return
        # O_NONBLOCK: a named pipe that nobody reads is an error, not a wait.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o640)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _next(self, waiting: deque[Record]) -> bytes:
        lines = [b"\n"] if self._torn else []
        size = len(lines)
        for record in waiting:
            line = _line(record)
            size += len(line)
            if size > ATOMIC_BYTES and len(lines) > self._torn:
                break
            lines.append(line)
        return b"".join(lines)


def _line(record: Record) -> bytes:
    """One line of JSON for whoever splits it: in ASCII, since some split at U+2028 and U+0085, too."""
    line = msgspec.json.encode(record)
    if not line.isascii():
        line = json.dumps(msgspec.structs.asdict(record), separators=(",", ":")).encode()
    return line + b"\n"


def _await_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(FULL_S * 1000):
        raise TimeoutError("full, and nobody reads")


class Rows:
    """A SQLite database; takes all of `waiting` in one transaction, or nothing."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._insert = ""

    def write(self, waiting: deque[Record]) -> None:
        """Raises sqlite3.Error; the next call connects anew."""
        try:
            connection = self._connection or self._connect()
            with connection:
                connection.executemany(self._insert, map(msgspec.structs.asdict, waiting))
        except BaseException:
            self.close()
            raise
        waiting.clear()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        _, *parts = PART.split(SQL.read_text("utf-8"))
        sql = dict(zip(parts[::2], parts[1::2], strict=True))
        self._insert = sql["insert"]
        self._connection = sqlite3.connect(self._path, timeout=BUSY_S)
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                self._connection.executescript(sql["schema"])
            except sqlite3.OperationalError:
                # Of processes that turn a new database to WAL at once, SQLite lets one wait and refuses others.
                if time.monotonic() > deadline:
                    raise
                time.sleep(WAL_PAUSE_S)
            else:
                return self._connection
